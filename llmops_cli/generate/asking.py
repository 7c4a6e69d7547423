"""A row as a request, and what comes back as the row's line of the output."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from llmops_cli.core.wrong_json import UNREADABLE
from llmops_cli.generate.recipe import GenerateRecipe
from llmops_cli.generate.rows import BadRow, Fields, Form, Row, prompt_of
from llmops_cli.runtime.chat import ChatEndpoint, Declined, Filtered, Message, Unanswered, message
from llmops_cli.runtime.chat_dialects import spelling_of
from llmops_cli.runtime.chat_reading import HeardReply, decoded_reply, heard
from llmops_cli.runtime.chat_request import CHARS_PER_TOKEN, ChatRequest, TokenBound, seed_of

OWN_FIELDS = ("usage", "error")
"""Of an answered row, beside the answer's own."""
SAID_FIELDS = ("content", "text", "reasoning_content")
"""Of a choice, or of its message: what was written for the tokens."""
LIMIT_FIELDS = ("max_completion_tokens", "max_tokens", "max_output_tokens")
DEMO = "demo"
NO_ANSWER = "no answer in the reply"

_encode = msgspec.json.Encoder().encode


class Ask(NamedTuple):
    """One request."""

    path: str
    body: bytes
    bound: TokenBound


class Taken(msgspec.Struct, frozen=True):
    """What of the server's own reply is counted; the rest is passed on as it is."""

    usage: dict[str, Any] | None = None  # Any: servers add fields of their own
    error: Any = None  # Any: as above


class RowAnswer(NamedTuple):
    """A line of the output, without its end."""

    line: bytes
    input_tokens: int
    output_tokens: int
    error: str = ""


_taken = msgspec.json.Decoder(Taken).decode


class Asker:
    """Knows how rows are asked at one endpoint."""

    def __init__(self, recipe: GenerateRecipe, endpoint: ChatEndpoint) -> None:
        self._recipe = recipe
        self._endpoint = endpoint
        self._spelling = spelling_of(endpoint)
        self._own_fields = {recipe.answer_field, *OWN_FIELDS}

    def ask_of(self, row: Row) -> Ask:
        """Raises: BadRow."""
        if row.form is Form.BATCH:
            return self._batch_ask(row.fields)
        taken = self._own_fields & row.fields.keys()
        if taken:
            raise BadRow(f"it has a field '{min(taken)}' already; --answer-field names another")
        request = self._request(row)
        body = _encode(self._spelling.body(self._endpoint.model, request))
        return Ask(self._spelling.path, body, TokenBound(len(body), request.max_tokens or 0))

    def reader_of(self, row: Row) -> Callable[[bytes], RowAnswer]:
        """What makes the row's line of a reply. It raises: Unanswered, and Retry."""
        if row.form is Form.BATCH:
            return lambda raw: _batch_answer(row.fields, raw)
        request = self._request(row)
        return lambda raw: self._answered(row.fields, heard(raw, self._spelling, request))

    def failed(self, row: Row, failure: Unanswered | Filtered) -> RowAnswer:
        """The line of a row that has no answer."""
        kind = failed_kind(failure)
        detail = failure.detail if isinstance(failure, Unanswered) else ""
        if row.form is Form.BATCH:
            line = {
                "id": _batch_id(row.fields),
                "custom_id": row.fields["custom_id"],
                "response": None,
                "error": {"code": kind, "message": detail},
            }
            return RowAnswer(_encode(line), 0, 0, kind)
        error = {"kind": kind, "message": detail}
        line = {**row.fields, self._recipe.answer_field: None, "usage": None, "error": error}
        return RowAnswer(_encode(line), 0, 0, kind)

    def _answered(self, fields: Fields, found: HeardReply) -> RowAnswer:
        reply = found.reply
        usage = {
            "prompt_tokens": reply.input_tokens,
            "completion_tokens": reply.output_tokens,
        }
        refusal = found.refusal
        error = None
        text: str | None = reply.text
        kind = ""
        if refusal is not None:
            kind = failed_kind(refusal)
            text = None
            said = refusal.text if isinstance(refusal, Declined) else ""
            error = {"kind": kind, "message": said}
        line = {**fields, self._recipe.answer_field: text, "usage": usage, "error": error}
        return RowAnswer(_encode(line), reply.input_tokens, reply.output_tokens, kind)

    def _request(self, row: Row) -> ChatRequest:
        recipe = self._recipe
        messages = self._messages(row)
        seed = None if recipe.seed is None else seed_of(recipe.seed, row.number, messages)
        return ChatRequest(
            messages=messages,
            max_tokens=recipe.max_tokens,
            temperature=recipe.temperature,
            seed=seed,
        )

    def _messages(self, row: Row) -> list[Message]:
        if row.form is Form.PROMPT:
            messages = [message("user", prompt_of(row.fields))]
        else:
            messages = row.fields["messages"]
        system = self._recipe.system
        if system is None or any(each["role"] == "system" for each in messages):
            return messages
        return [message("system", system), *messages]

    def _batch_ask(self, fields: Fields) -> Ask:
        if self._endpoint.dialect != "openai":
            raise BadRow("a batch row is of OpenAI's dialect")
        body = dict(fields["body"])
        body["model"] = self._model_of(body.get("model"))
        limit = _limit_of(body)
        if not limit and self._recipe.max_tokens and fields["url"] == "/v1/chat/completions":
            limit = self._recipe.max_tokens
            body["max_tokens"] = limit
        answers = body.get("n")
        if isinstance(answers, int) and answers > 1:
            limit *= answers
        encoded = _encode(body)
        return Ask(fields["url"], encoded, TokenBound(len(encoded), limit))

    def _model_of(self, own: str | None) -> str:
        """Who is asked for a batch row that names this model. Raises: BadRow for another one."""
        recipe = self._recipe
        asked = self._endpoint.model
        if recipe.url and recipe.model is None:
            return own or asked
        wanted = recipe.model or DEMO
        if own and own not in (wanted, asked) and not recipe.replace_model:
            raise BadRow(f"its model is '{own}', not '{wanted}'; --replace-model asks that one")
        return asked


def failed_kind(failure: Unanswered | Filtered) -> str:
    """What reports count it by."""
    if isinstance(failure, Unanswered):
        return failure.kind
    return "declined" if isinstance(failure, Declined) else "filtered"


def _limit_of(body: Fields) -> int:
    for name in LIMIT_FIELDS:
        limit = body.get(name)
        if isinstance(limit, int) and limit > 0:
            return limit
    return 0


def _batch_id(fields: Fields) -> str:
    return f"batch_req_{fields['custom_id']}"


def _batch_answer(fields: Fields, raw: bytes) -> RowAnswer:
    """The reply as it came. A line break in JSON stands between its parts, never in a text.

    Raises: Unanswered, and Retry, also for a 200 that holds an error.
    """
    try:
        taken = _taken(raw)
    except UNREADABLE:
        raise Unanswered(NO_ANSWER) from None
    usage = taken.usage or {}
    if taken.error or not usage:
        usage = _estimated(fields["body"], decoded_reply(raw))
    line = {
        "id": _batch_id(fields),
        "custom_id": fields["custom_id"],
        "response": {
            "status_code": 200,
            "request_id": None,
            "body": msgspec.Raw(raw.replace(b"\n", b" ").replace(b"\r", b" ")),
        },
        "error": None,
    }
    return RowAnswer(
        _encode(line),
        _count(usage, "prompt_tokens", "input_tokens"),
        _count(usage, "completion_tokens", "output_tokens"),
    )


def _estimated(body: Fields, reply: Fields) -> Fields:
    """Tokens of a server that counts none."""
    said = 0
    choices = reply.get("choices")
    for choice in choices if isinstance(choices, list) else []:
        message = choice.get("message", choice) if isinstance(choice, dict) else {}
        texts = [message.get(name) for name in SAID_FIELDS] if isinstance(message, dict) else []
        said += sum(len(text) for text in texts if isinstance(text, str))
    return {
        "prompt_tokens": len(_encode(body)) // CHARS_PER_TOKEN,
        "completion_tokens": said // CHARS_PER_TOKEN,
    }


def _count(usage: dict[str, Any], *names: str) -> int:  # Any: the server's own
    for name in names:
        count = usage.get(name)
        if isinstance(count, int) and count >= 0:
            return count
    return 0
