"""Conversations and the bodies of their requests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from llmops_cli.bench.chunks import words_of
from llmops_cli.bench.plan import Workload
from llmops_cli.bench.session import PlannedTurn

ChatMessage = dict[str, object]
OPEN_MESSAGES = b'"messages":'
OPEN_ONE_MESSAGE = b'"messages":[{"role":"user","content":'
OPEN_PROMPT = b'"prompt":'
OPEN_INPUT = b'"input":'


class RequestBodies:
    """JSON bodies around a text or messages; what all requests share is encoded once."""

    def __init__(self, work: Workload) -> None:
        self._chat = work.api == "chat"
        self.wants_vectors = work.wants_vectors
        self._shared = work.fields
        self._fixed = frozenset(work.fixed)
        self._limited = not work.wants_vectors
        for name in ("max_tokens", "max_completion_tokens"):
            if name in work.fields:
                self._limited = False
        self.start = _opened(work.fields)
        """How a body begins: with the fields that all requests share."""

    def start_with(self, own: Mapping[str, msgspec.Raw]) -> bytes:
        """How a body begins that has fields of its own; what the user fixed stays."""
        if not own:
            return self.start
        kept = {name: value for name, value in own.items() if name not in self._fixed}
        return _opened({**self._shared, **kept})

    def _open(self, start: bytes, output_tokens: int) -> bytes:
        if self._limited:
            return start + b'"max_tokens":%d,' % output_tokens
        return start

    def of_text(self, start: bytes, text: str, output_tokens: int) -> bytes:
        quoted = msgspec.json.encode(text)
        opened = self._open(start, output_tokens)
        if self._chat:
            return opened + OPEN_ONE_MESSAGE + quoted + b"}]}"
        return opened + OPEN_PROMPT + quoted + b"}"

    def of_texts(self, start: bytes, texts: Sequence[str]) -> bytes:
        """For vectors: one text as itself, several as a list."""
        wanted: object = texts[0] if len(texts) == 1 else texts
        return start + OPEN_INPUT + msgspec.json.encode(wanted) + b"}"

    def of_messages(
        self,
        start: bytes,
        messages: list[ChatMessage],
        output_tokens: int,
    ) -> bytes:
        if not self._chat:
            contents = [words_of(message.get("content")) for message in messages]
            text = "\n".join(filter(None, contents))
            return self.of_text(start, text, output_tokens)
        encoded = msgspec.json.encode(messages)
        opened = self._open(start, output_tokens)
        return opened + OPEN_MESSAGES + encoded + b"}"


def _opened(fields: Mapping[str, object]) -> bytes:
    """An object without its closing brace, ready for more."""
    start = msgspec.json.encode(fields)[:-1]
    return start + b"," if fields else start


class UserTurn(NamedTuple):
    """What the user says next, what it costs, and the answer's wanted length."""

    text: str
    tokens: int
    output_tokens: int


class Conversation:
    """A session: user turns one after another, each sent with all that was said before."""

    def __init__(
        self,
        index: int,
        bodies: RequestBodies,
        *,
        turns: Iterator[UserTurn],
        count: int,
        think_time_s: float,
        history: list[ChatMessage] | None = None,
        start: bytes | None = None,
    ) -> None:
        """`start`: how its bodies begin, if they have fields of their own."""
        self.index = index
        self._bodies = bodies
        self._turns = turns
        self.think_time_s = think_time_s
        self._left = count
        self._start = bodies.start if start is None else start
        self._messages: list[ChatMessage] = history or []

    @property
    def needs_answer(self) -> bool:
        return self._left > 0

    def next_turn(self, answer: str | None) -> PlannedTurn | None:
        if self._left <= 0:
            return None
        self._left -= 1
        text, tokens, output = next(self._turns)
        is_only_turn = not self._messages and not self._left
        if is_only_turn:
            body = self._bodies.of_text(self._start, text, output)
            return PlannedTurn(body, tokens, output)
        if answer is not None:
            said: ChatMessage = {"role": "assistant", "content": answer}
            self._messages.append(said)
        if text:
            asked: ChatMessage = {"role": "user", "content": text}
            self._messages.append(asked)
        wanted = 0  # what was said before has no length that we wanted
        if len(self._messages) == 1:
            wanted = tokens
        body = self._bodies.of_messages(self._start, self._messages, output)
        return PlannedTurn(body, wanted, output)


class VectorRequest:
    """A session of one request, whose answer is a vector for each of its texts."""

    think_time_s = 0.0
    needs_answer = False

    def __init__(
        self,
        index: int,
        body: bytes,
        *,
        tokens: int,
    ) -> None:
        """`tokens`: wanted of all texts together; 0: they have their own."""
        self.index = index
        self._turn: PlannedTurn | None = PlannedTurn(body, tokens, 0)

    def next_turn(self, _answer: str | None) -> PlannedTurn | None:
        turn = self._turn
        self._turn = None
        return turn
