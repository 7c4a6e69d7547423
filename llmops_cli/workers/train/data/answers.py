"""Where the answers stand in the text of a chat.

A template with {% generation %} says so itself. For the others an answer begins where the prompt
ends that a server would have sent for it, and ends with the token that ends a turn.
"""

from collections.abc import Sequence
from itertools import pairwise

from _shared.data.forms import Chat
from _shared.data.messages import Message
from _shared.data.row_error import RowError
from train.data.templates import Span, Template

PROBE = "an answer that no data set holds"
OTHER_TEMPLATE = "--chat-template chatml, or FILE, one that writes it"
ENDING_CHARACTERS = 20
NO_MARK = "--chat-template FILE with {% generation %} around answers, or --train-on all"


class Answers:
    """Texts of chats with their answers. `control`: tokens that a tokenizer keeps whole."""

    def __init__(self, template: Template, control: Sequence[str]) -> None:
        self._template = template
        self.closing = closing_of(template, control)

    def render(self, chat: Chat) -> tuple[str, list[Span]]:
        """Raises: RowError where the template does not let an answer be found for sure."""
        text, spans = self._rendered(chat)
        for index, (begin, end) in zip(chat.answers, spans, strict=True):
            _check_kept(chat.messages[index], index, text[begin:end])
        return text, spans

    def _rendered(self, chat: Chat) -> tuple[str, list[Span]]:
        if self._template.marks_answers:
            text, spans = self._template.render_marked(chat.messages, chat.tools, chat.options)
            turns = [index for index, message in enumerate(chat.messages) if _answers(message)]
            if len(spans) == len(turns):
                chosen = zip(turns, spans, strict=True)
                return text, [span for turn, span in chosen if turn in chat.answers]
        text = self._template.render(chat.messages, chat.tools, chat.options)
        return text, self._found(chat, text)

    def _found(self, chat: Chat, text: str) -> list[Span]:
        begins = [self._begin(chat, index, text) for index in chat.answers]
        spans = []
        for index, (begin, bound) in zip(chat.answers, pairwise([*begins, len(text)]), strict=True):
            end = self._end(chat, index, text, begin)
            if not begin < end <= bound:
                raise _unmarked(index)
            spans.append(Span(begin, end))
        return spans

    def _begin(self, chat: Chat, index: int, text: str) -> int:
        before = chat.messages[:index]
        prompt = self._template.render(before, chat.tools, chat.options, asks=True)
        if not text.startswith(prompt):
            raise _unmarked(index)
        return len(prompt)

    def _end(
        self,
        chat: Chat,
        index: int,
        text: str,
        begin: int,
    ) -> int:
        if self.closing is None:
            until = chat.messages[: index + 1]
            so_far = self._template.render(until, chat.tools, chat.options)
            if not text.startswith(so_far):
                raise _unmarked(index)
            return len(so_far)
        if self.closing in chat.messages[index]["content"]:
            raise RowError(f"messages[{index}] holds {self.closing!r}, the end of a turn")
        found = text.find(self.closing, begin)
        if found < 0:
            raise _unmarked(index)
        return found + len(self.closing)


def closing_of(template: Template, control: Sequence[str]) -> str | None:
    """What ends an assistant's turn, up to the first control token; None if there is none."""
    question = {"role": "user", "content": "a question"}
    answer = {"role": "assistant", "content": PROBE}
    try:
        text = template.render([question, answer])
    except RowError:
        return None
    _, found, tail = text.partition(PROBE)
    ends = [tail.index(token) + len(token) for token in control if token in tail]
    if not found or not ends:
        return None
    return tail[: min(ends)]


def check_tools(chat: Chat, text: str) -> None:
    """Raises: RowError if the template leaves tools or calls of them out, as many do."""
    calls = [call for message in chat.messages for call in message.get("tool_calls", ())]
    for what, tools in (("tools", chat.tools or ()), ("tool calls", calls)):
        for tool in tools:
            function = tool.get("function")
            name = function.get("name") if isinstance(function, dict) else tool.get("name")
            if isinstance(name, str) and name not in text:
                raise RowError(f"the chat template leaves {what} out: {name}", OTHER_TEMPLATE)


def _check_kept(message: Message, index: int, answer: str) -> None:
    """Its end, since templates may leave the thoughts before it out."""
    ending = message["content"].strip()[-ENDING_CHARACTERS:]
    if ending not in answer:
        said = f"the chat template leaves the text of the answer messages[{index}] out"
        raise RowError(said, OTHER_TEMPLATE)


def _answers(message: Message) -> bool:
    return bool(message["role"] == "assistant")


def _unmarked(index: int) -> RowError:
    message = f"the chat template does not show where the answer messages[{index}] stands"
    return RowError(message, NO_MARK)
