"""What a row of a data set is: a table of forms, recognised by their fields.

A method that trains on other rows adds its form here, with `read`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from _shared.data.messages import Message, Turns, openai_turns, sharegpt_turns, tools_of
from _shared.data.row_error import RowError

# A row of whichever JSON.
AnyRow = Any

MEDIA = ("images", "image", "videos", "video", "audio", "audios")


@dataclass(frozen=True, slots=True)
class Text:
    """Plain text, all of which is learned. `ends`: an end token follows."""

    text: str
    ends: bool = True


@dataclass(frozen=True, slots=True)
class PromptCompletion:
    """A text to go on from, and how it goes on."""

    prompt: str
    completion: str


@dataclass(frozen=True, slots=True)
class Chat:
    """Messages; those numbered in `answers` are to be learned."""

    messages: list[Message]
    answers: tuple[int, ...]
    tools: list[Any] | None = None
    options: dict[str, Any] = field(default_factory=dict)


Document = Text | PromptCompletion | Chat


@dataclass(frozen=True, slots=True, kw_only=True)
class RowForm:
    """`fields` must be there. Without `read` it is refused in the name of what will take it."""

    name: str
    fields: tuple[str, ...]
    read: Callable[[AnyRow], Document] | None = None
    taken_by: str = ""

    def missing(self, row: AnyRow) -> str | None:
        for name in self.fields:
            if row.get(name) is None:
                return name
        return None


def form_of(row: AnyRow) -> RowForm:
    """Raises: RowError for a row of no form, or of one that is not trained on here."""
    row = _object(row)
    for form in FORMS:
        if form.missing(row) is None:
            if form.read is None:
                raise RowError(f"it holds {form.name}", form.taken_by)
            return form
    names = ", ".join(map(str, row)) or "nothing"
    raise RowError(f"no known form of sample; its fields: {names[:200]}", f"known: {_known()}")


def document_of(row: AnyRow, form: RowForm) -> Document:
    """Raises: RowError for a row of another form than `form`, that of the rows before."""
    row = _object(row)
    missing = form.missing(row)
    if missing is not None:
        raise RowError(f"no {missing}, unlike the rows before ({form.name})", "one form a file")
    for name in MEDIA:
        if row.get(name):
            raise RowError(f"it has {name}", "only text is trained here")
    assert form.read is not None
    return form.read(row)


def _object(row: AnyRow) -> AnyRow:
    if isinstance(row, str):
        return {"text": row}
    if not isinstance(row, dict):
        raise RowError("a row is an object, or a text", f"known: {_known()}")
    return row


def _known() -> str:
    forms = ["{" + ", ".join(form.fields) + "}" for form in FORMS if form.read is not None]
    return " ".join(forms)


def _text(name: str) -> Callable[[AnyRow], Document]:
    return lambda row: Text(_string(row, name))


def _openai(row: AnyRow) -> Document:
    if row.get("functions"):
        raise RowError("it has functions", "OpenAI's newer form: tools")
    return _chat(row, openai_turns(row["messages"]))


def _sharegpt(row: AnyRow) -> Document:
    """Some keep the system's message beside the others."""
    turns = sharegpt_turns(row["conversations"])
    system = row.get("system")
    if isinstance(system, str) and system and turns.messages[0]["role"] != "system":
        first: Message = {"role": "system", "content": system}
        answers = tuple(index + 1 for index in turns.answers)
        turns = Turns([first, *turns.messages], answers)
    return _chat(row, turns)


def _completion(row: AnyRow) -> Document:
    prompt = row["prompt"]
    completion = row["completion"]
    if isinstance(prompt, str) and isinstance(completion, str):
        return PromptCompletion(prompt, completion)
    if isinstance(prompt, str) or isinstance(completion, str):
        raise RowError("prompt and completion are not alike", "two texts, or two lists of messages")
    asked = openai_turns(prompt, "prompt")
    answered = openai_turns(completion, "completion")
    first = len(asked.messages)
    answers = tuple(first + index for index in answered.answers)
    return _chat(row, Turns(asked.messages + answered.messages, answers))


def _instruction(row: AnyRow) -> Document:
    """Alpaca's: the input stands below the instruction."""
    messages: list[Message] = []
    if row.get("system"):
        messages.append({"role": "system", "content": _string(row, "system")})
    for asked, answered in _history(row.get("history")):
        messages += _exchange(asked, answered)
    question = _string(row, "instruction")
    if row.get("input"):
        parts = [question, _string(row, "input")]
        question = "\n\n".join(part for part in parts if part)
    messages += _exchange(question, _string(row, "output"))
    turns = openai_turns(messages)
    return _chat(row, turns)


def _exchange(question: str, answer: str) -> list[Message]:
    return [
        {"role": "user", "content": question},
        {"role": "assistant", "content": answer},
    ]


def _history(value: Any) -> list[tuple[str, str]]:
    pairs = value or []
    if not isinstance(pairs, list):
        raise RowError("history is no list", "[[instruction, output], ...]")
    for pair in pairs:
        is_pair = isinstance(pair, list) and len(pair) == 2
        if not is_pair or not all(isinstance(text, str) for text in pair):
            raise RowError("history holds something else than pairs of texts")
    return [(asked, answered) for asked, answered in pairs]


def _chat(row: AnyRow, turns: Turns) -> Chat:
    options = row.get("chat_template_kwargs") or {}
    if not isinstance(options, dict):
        raise RowError("chat_template_kwargs is no object")
    return Chat(turns.messages, turns.answers, tools_of(row.get("tools")), options)


def _string(row: AnyRow, name: str) -> str:
    value = row.get(name)
    if not isinstance(value, str):
        raise RowError(f"{name} is no text")
    return value


LATER = "preference training is not part of `llmops train` yet"

# In this order: a row of preferences also has a prompt.
FORMS = (
    RowForm(name="preference pairs", fields=("chosen", "rejected"), taken_by=LATER),
    RowForm(
        name="preferences without pairs",
        fields=("prompt", "completion", "label"),
        taken_by=LATER,
    ),
    RowForm(
        name="labelled steps",
        fields=("completions", "labels"),
        taken_by="reward models are not part of `llmops train`",
    ),
    RowForm(name="chats", fields=("messages",), read=_openai),
    RowForm(name="ShareGPT chats", fields=("conversations",), read=_sharegpt),
    RowForm(name="prompts and completions", fields=("prompt", "completion"), read=_completion),
    RowForm(name="instructions", fields=("instruction", "output"), read=_instruction),
    RowForm(name="texts", fields=("text",), read=_text("text")),
    RowForm(name="texts", fields=("content",), read=_text("content")),
    RowForm(
        name="prompts without completions",
        fields=("prompt",),
        taken_by="add a completion to each; training on rewards is not part of `llmops train`",
    ),
)
