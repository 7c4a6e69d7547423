"""Conversations and the bodies of their requests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from llmops_cli.bench.plan import Workload
from llmops_cli.bench.session import PlannedTurn

ChatMessage = dict[str, object]
OPEN_MESSAGES = b'"messages":'
OPEN_ONE_MESSAGE = b'"messages":[{"role":"user","content":'
OPEN_PROMPT = b'"prompt":'


class RequestBodies:
    """JSON bodies around a text or messages; what all requests share is encoded once."""

    def __init__(self, work: Workload) -> None:
        self._chat = work.api == "chat"
        names = ("max_tokens", "max_completion_tokens")
        self._limited = True
        for name in names:
            if name in work.fields:
                self._limited = False
        fields = msgspec.json.encode(work.fields)
        self._start = fields[:-1]  # without its closing brace
        if work.fields:
            self._start += b","

    def _open(self, output_tokens: int) -> bytes:
        if self._limited:
            return self._start + b'"max_tokens":%d,' % output_tokens
        return self._start

    def of_text(self, text: str, output_tokens: int) -> bytes:
        quoted = msgspec.json.encode(text)
        start = self._open(output_tokens)
        if self._chat:
            return start + OPEN_ONE_MESSAGE + quoted + b"}]}"
        return start + OPEN_PROMPT + quoted + b"}"

    def of_messages(self, messages: list[ChatMessage], output_tokens: int) -> bytes:
        if not self._chat:
            contents = [str(message["content"]) for message in messages]
            text = "\n".join(contents)
            return self.of_text(text, output_tokens)
        encoded = msgspec.json.encode(messages)
        start = self._open(output_tokens)
        return start + OPEN_MESSAGES + encoded + b"}"


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
    ) -> None:
        self.index = index
        self._bodies = bodies
        self._turns = turns
        self.think_time_s = think_time_s
        self._left = count
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
            body = self._bodies.of_text(text, output)
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
        body = self._bodies.of_messages(self._messages, output)
        return PlannedTurn(body, wanted, output)
