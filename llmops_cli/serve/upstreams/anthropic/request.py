"""A chat's body as the Messages request that means the same, or the field that stands in the way.

Every field of a chat is sent, needed or told: what is needed and has no word there is asked of
another upstream, and what is told stands in the answer's `x-llmops-unsent`.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec

from llmops_cli.runtime.messages_words import (
    ANSWER_TOKENS,
    EPHEMERAL,
    MARK_TTL,
    THOUGHTS,
    Json,
    NotInMessages,
    is_ephemeral,
    marks_in,
    schema_in,
    system_of,
    tool_choice_of,
    tool_of,
    trim_marks,
    turns_of,
)
from llmops_cli.serve.context import Fields
from llmops_cli.serve.refusal import Refusal

UNSUPPORTED = "unsupported"
SENT = frozenset(
    (
        "max_completion_tokens",
        "max_tokens",
        "messages",
        "model",
        "n_predict",
        "parallel_tool_calls",
        "reasoning_effort",
        "response_format",
        "safety_identifier",
        "stop",
        "stream",
        "stream_options",
        "temperature",
        "thinking",
        "tool_choice",
        "tools",
        "top_k",
        "top_p",
        "user",
    )
)
"""What the dialect has words for; `stream_options` asks for what it always tells."""
NEEDED = frozenset(
    (
        "allowed_token_ids",
        "audio",
        "bad_words",
        "best_of",
        "documents",
        "ebnf",
        "echo",
        "function_call",
        "functions",
        "grammar",
        "guided_choice",
        "guided_grammar",
        "guided_json",
        "guided_regex",
        "ignore_eos",
        "json_schema",
        "logit_bias",
        "logprob_token_ids",
        "logprobs",
        "min_tokens",
        "modalities",
        "n",
        "n_probs",
        "prompt_logprobs",
        "random_seed",
        "regex",
        "return_logprob",
        "seed",
        "stop_regex",
        "stop_token_ids",
        "structural_tag",
        "structured_output",
        "structured_outputs",
        "system",
        "tool_prompt",
        "top_logprobs",
        "use_beam_search",
    )
)
"""What an answer would lack, or a model would not read, if it were left out."""
LIMITS = ("max_completion_tokens", "max_tokens", "n_predict")
NOTHING: tuple[object, ...] = (None, False, 0, "", [], {})
NOTHING_BYTES = 64
"""No value that asks for nothing is longer. What a client nests deeper than that is not read."""
SEEDS = ("seed", "random_seed")
DEFAULTS: dict[str, tuple[object, ...]] = {
    "n": (1,),
    "best_of": (1,),
    "modalities": (["text"],),
    "repetition_penalty": (1,),
    "parallel_tool_calls": (True,),
}
"""What a field says that asks for nothing beside what is done anyway."""
EFFORTS = {
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "xhigh",
    "max": "max",
}
NO_EFFORT = "none"
NO_THOUGHT = {"type": "disabled"}
HOTTEST = 1.0


class MessagesBody(msgspec.Struct, frozen=True):
    """`fields`: each encoded, without the model's name, which is every upstream's own.

    `form`: of the answer. `effort`: what is said of thought, for upstreams that take it.
    `is_marked`: the client says what is to be cached. `thought_tokens`: that it may think, which
    count as its answer's. `unsent`: names of what is not sent, and told.
    """

    fields: Fields
    form: Json
    effort: Json
    is_marked: bool
    unsent: tuple[str, ...]
    thought_tokens: int = 0

    def encoded(
        self,
        model: str,
        *,
        has_effort: bool,
        is_cached: bool = False,
        unsaid_tokens: int | None = None,
    ) -> bytes:
        """`is_cached`: the prompt is to be found again, where the client does not say which part.

        `unsaid_tokens`: of an answer, where nobody says how long it may be.
        """
        body: Json = {"model": model, **self.fields}
        body.setdefault("max_tokens", (unsaid_tokens or ANSWER_TOKENS) + self.thought_tokens)
        config = dict(self.form)
        if has_effort and self.effort == NO_THOUGHT:
            body["thinking"] = self.effort
        elif has_effort:
            config |= self.effort
        if config:
            body["output_config"] = config
        if is_cached and not self.is_marked:
            body.setdefault("cache_control", EPHEMERAL)
        return msgspec.json.encode(body)


def translated(fields: Fields, further: Collection[str]) -> MessagesBody:
    """Raises: Refusal for what the dialect does not have, which names the field."""
    try:
        return messages_body(fields, further)
    except NotInMessages as error:
        raise not_in_messages(error.field, error.why) from None


def not_in_messages(what: str, why: str) -> Refusal:
    said = f"{what} cannot be said in Anthropic's dialect, which this model's upstreams speak"
    return Refusal(400, f"{said}: {why}", code=UNSUPPORTED)


def messages_body(fields: Fields, further: Collection[str] = ()) -> MessagesBody:
    """`further`: fields that the file lets pass as they are. Raises: NotInMessages."""
    try:
        return _messages_body(fields, further)
    except (AttributeError, KeyError, TypeError):
        raise NotInMessages("messages", "it has another form than a chat's") from None
    except RecursionError:
        raise NotInMessages("messages", "it is nested too deep") from None


def _messages_body(fields: Fields, further: Collection[str]) -> MessagesBody:
    """Raises: NotInMessages; KeyError and the like for another form."""
    given = {name: _decoded(fields[name]) for name in SENT.union(NEEDED) if name in fields}
    for name in sorted(NEEDED.intersection(given)):
        if name not in further and not _asks_for_nothing(name, given[name]):
            raise NotInMessages(name, "there is no such field")
    body = _conversation(given)
    is_unsigned = _is_unsigned(given, body["messages"])
    if is_unsigned:
        given["thinking"] = None
    body |= _settings(given) | _tools(given)
    is_trimmed = trim_marks(body)
    encoded = {name: _raw(value) for name, value in body.items()}
    for name in further:
        if name in fields and name not in SENT and name not in encoded:
            encoded[name] = fields[name]
    marks = list(marks_in(given["messages"], given.get("tools")))
    unsent = [*_unsent(fields, given, further), *_unsent_of_marks(marks, is_trimmed=is_trimmed)]
    if is_unsigned:
        unsent.append("thinking")
    return MessagesBody(
        encoded,
        form=_form(given.get("response_format")),
        effort=_effort(given),
        is_marked=any(map(is_ephemeral, marks)),
        thought_tokens=_thought_tokens(given),
        unsent=tuple(unsent),
    )


def _unsent(fields: Fields, given: Json, further: Collection[str]) -> list[str]:
    """Names of what such an upstream is not told, and the client is."""
    names = [name for name in fields if name not in SENT and name not in further]
    left = [name for name in names if not _says_nothing(name, fields[name])]
    if _is_hotter(given.get("temperature")):
        left.append("temperature")
    return left


def _unsent_of_marks(marks: list[Json], *, is_trimmed: bool) -> list[str]:
    """A cache is kept for as long as its price in the file pays for, whatever the client says."""
    unsent = []
    if is_trimmed or not all(map(is_ephemeral, marks)):
        unsent.append("cache_control")
    if any(mark.get("ttl") not in (None, MARK_TTL) for mark in marks):
        unsent.append("cache_control.ttl")
    return unsent


def _raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def _decoded(raw: msgspec.Raw) -> Any:  # Any: a client's own value
    return msgspec.json.decode(raw)


def _says_nothing(name: str, raw: msgspec.Raw) -> bool:
    return len(bytes(raw)) <= NOTHING_BYTES and _asks_for_nothing(name, _decoded(raw))


def _asks_for_nothing(name: str, value: object) -> bool:
    if name in SEEDS:
        return value is None
    return value in NOTHING or value in DEFAULTS.get(name, ())


def _is_hotter(temperature: object) -> bool:
    return isinstance(temperature, int | float) and temperature > HOTTEST


def _conversation(given: Json) -> Json:
    turns = turns_of(given["messages"])
    if not turns:
        raise NotInMessages("messages", "nobody says anything but the system")
    system = system_of(given["messages"])
    return {"messages": turns} if system is None else {"system": system, "messages": turns}


def _is_unsigned(given: Json, turns: list[Json]) -> bool:
    """Whether a model is to think on behind its calls, and what it has thought is not there.

    That is refused: a chat's client has it only if it keeps a message's `thinking_blocks`.
    """
    thinking = given.get("thinking")
    if not isinstance(thinking, dict) or thinking.get("type") != "enabled":
        return False
    answers = [turn["content"] for turn in turns if turn["role"] == "assistant"]
    if not answers or not _kinds_in(turns[-1]["content"]) & {"tool_result"}:
        return False
    first, *_ = answers[-1]
    return isinstance(first, dict) and first["type"] not in THOUGHTS


def _kinds_in(content: str | list[Json]) -> set[str]:
    return set() if isinstance(content, str) else {block["type"] for block in content}


def _settings(given: Json) -> Json:
    said = [given[name] for name in LIMITS if given.get(name) is not None]
    found: Json = {"max_tokens": _with_thought(said[0], given)} if said else {}
    stops = _stops(given.get("stop"))
    if stops:
        found["stop_sequences"] = stops
    if given.get("stream"):
        found["stream"] = True
    for name in ("temperature", "top_p"):
        # 1 is what they are anyway, and some models take only one of them.
        if given.get(name) not in (None, 1):
            found[name] = HOTTEST if _is_hotter(given[name]) else given[name]
    if (given.get("top_k") or 0) > 0:
        found["top_k"] = given["top_k"]
    thinking = given.get("thinking")
    if thinking:
        if not isinstance(thinking, dict) or "type" not in thinking:
            raise NotInMessages("thinking", 'it is an object as {"type": "adaptive"}')
        found["thinking"] = thinking
    user = given.get("safety_identifier") or given.get("user")
    if user:
        found["metadata"] = {"user_id": user}
    return found


def _thought_tokens(given: Json) -> int:
    """Of a budget for thought."""
    thinking = given.get("thinking")
    budget = thinking.get("budget_tokens") if isinstance(thinking, dict) else None
    return budget if type(budget) is int and budget > 0 else 0


def _with_thought(most: Any, given: Json) -> Any:  # Any: a client's own number
    """A limit that thought alone would use up is of the answer beside it: there it is of both."""
    thought = _thought_tokens(given)
    return most + thought if isinstance(most, int) and most <= thought else most


def _form(wished: Any) -> Json:  # Any: OpenAI's fields
    """Raises: NotInMessages."""
    if not wished or wished.get("type") == "text":
        return {}
    schema = _raw(schema_in(wished))
    return {"format": {"type": "json_schema", "schema": schema}}


def _stops(stop: Any) -> list[str]:  # Any: a text, or several
    stops = [stop] if isinstance(stop, str) else stop or []
    for each in stops:
        if isinstance(each, str) and each and not each.strip():
            raise NotInMessages("stop", "it has no place for white space alone")
    return [each for each in stops if each]


def _tools(given: Json) -> Json:
    tools = [tool_of(tool) for tool in given.get("tools") or ()]
    if not tools:
        return {}
    is_parallel = given.get("parallel_tool_calls") is not False
    choice = tool_choice_of(given.get("tool_choice"), is_parallel=is_parallel)
    return {"tools": tools} if choice is None else {"tools": tools, "tool_choice": choice}


def _effort(given: Json) -> Json:
    effort = given.get("reasoning_effort")
    if not effort or given.get("thinking"):
        return {}
    if effort == NO_EFFORT:
        return NO_THOUGHT
    if not isinstance(effort, str) or effort not in EFFORTS:
        raise NotInMessages("reasoning_effort", f"it is {', '.join(EFFORTS)} or {NO_EFFORT}")
    return {"effort": EFFORTS[effort]}
