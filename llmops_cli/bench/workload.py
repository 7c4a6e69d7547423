"""Sessions drawn from a seed or read from a file.

The same recipe makes the same ones, in the worker that sends them.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from llmops_cli.bench.arrivals import Load
from llmops_cli.bench.chunks import words_of
from llmops_cli.bench.conversation import (
    ChatMessage,
    Conversation,
    RequestBodies,
    UserTurn,
    VectorRequest,
)
from llmops_cli.bench.lengths import parse_lengths
from llmops_cli.bench.plan import Workload
from llmops_cli.bench.prompts import Prompts
from llmops_cli.bench.rows import Rows
from llmops_cli.bench.session import Session

TRACE_BLOCK_TOKENS = 512
"""Tokens that one hash id of a Mooncake trace stands for."""


class SessionSource:
    """Sessions by number. `seed` differs for each level and repetition."""

    def __init__(self, work: Workload, seed: str) -> None:
        self._work = work
        self._seed = seed
        self._input = parse_lengths(work.input_tokens)
        self._output = parse_lengths(work.output_tokens)
        self._bodies = RequestBodies(work)
        self._rows: Rows | None = None
        if work.spool:
            self._rows = Rows(Path(work.spool))

    @cached_property
    def _prompts(self) -> Prompts:
        seed = str(self._work.seed)
        return Prompts(self._work.words, seed)

    @cached_property
    def _prefix(self) -> tuple[str, int]:
        """The shared beginning and its cost, the same for every level."""
        wanted = self._work.shared_prefix_tokens
        if not wanted:
            return "", 0
        rng = random.Random(f"{self._work.seed}/prefix")
        text = self._prompts.text(wanted, rng)
        return text, self._prompts.cost(text)

    def session(self, index: int) -> Session:
        rng = random.Random(f"{self._seed}/{index}")
        if self._work.wants_vectors:
            return self._of_vectors(index, rng)
        if self._work.kind == "file":
            return self._from_row(index, rng)
        if self._work.kind == "trace":
            return self._from_trace(index)
        return Conversation(
            index,
            self._bodies,
            turns=self._drawn_turns(rng),
            count=self._work.turns or 1,
            think_time_s=self._work.think_time_s,
        )

    def _of_vectors(self, index: int, rng: random.Random) -> VectorRequest:
        count = self._work.texts
        if self._work.kind == "synthetic":
            turns = [self._first_turn(rng) for _ in range(count)]
            texts = [turn.text for turn in turns]
            tokens = sum(turn.tokens for turn in turns)
        elif self._is_drawn_row(index):
            turn = self._traced_turn(index)
            texts = [turn.text]
            tokens = turn.tokens
        else:
            numbers = range(index * count, (index + 1) * count)
            texts = [self._row_text(number) for number in numbers]
            tokens = 0
        body = self._bodies.of_texts(self._bodies.start, texts)
        return VectorRequest(index, body, tokens=tokens)

    def _is_drawn_row(self, index: int) -> bool:
        """Whether it is a row of a trace that has lengths and no words."""
        if self._work.kind != "trace" or self._rows is None:
            return False
        row = self._rows[index]
        return not row.messages and not row.turns

    def _row_text(self, number: int) -> str:
        """All that a row of a file says."""
        assert self._rows is not None
        rounds, place = divmod(number, len(self._rows))
        row = self._rows[place]
        messages = list(row.messages)
        texts = list(row.turns)
        if self._work.nonce:
            self._mark(messages, texts, rounds)
        said = [words_of(message.get("content")) for message in messages]
        return "\n".join([*said, *texts])

    def _drawn_turns(self, rng: random.Random) -> Iterator[UserTurn]:
        yield self._first_turn(rng)
        while True:
            tokens = max(self._input(rng), 1)
            output = self._output(rng)
            text = self._prompts.prompt(tokens, rng, nonce="")
            yield UserTurn(text, tokens, output)

    def _first_turn(self, rng: random.Random) -> UserTurn:
        """With the nonce of the run, and with the shared prefix if it is one of that share."""
        work = self._work
        tokens = self._input(rng)
        output = self._output(rng)
        prefix = ""
        cost = 0
        if work.shared_prefix_tokens:
            is_shared = rng.random() < work.shared_prefix_share
            if is_shared:
                prefix, cost = self._prefix
        tokens = max(tokens, cost + 1)
        text = self._prompts.prompt(
            tokens, rng, nonce=work.nonce, prefix=prefix, prefix_tokens=cost
        )
        return UserTurn(text, tokens, output)

    def _from_row(self, index: int, rng: random.Random) -> Conversation:
        assert self._rows is not None
        rounds, place = divmod(index, len(self._rows))
        row = self._rows[place]
        output = row.output_tokens or self._output(rng)
        messages = list(row.messages)
        texts = list(row.turns)
        if self._work.nonce:
            self._mark(messages, texts, rounds)
        if self._work.turns is not None:
            texts = texts[: self._work.turns]
        start = self._bodies.start_with(row.fields)
        if not texts:  # a list of messages is one request
            turn = UserTurn("", 0, output)
            return self._single(index, turn, history=messages, start=start)
        turns = [UserTurn(text, 0, output) for text in texts]
        return Conversation(
            index,
            self._bodies,
            turns=iter(turns),
            count=len(texts),
            think_time_s=self._work.think_time_s,
            history=messages,
            start=start,
        )

    def _mark(
        self,
        messages: list[ChatMessage],
        texts: list[str],
        rounds: int,
    ) -> None:
        """Makes each pass over the file new to the server's cache; within itself it shares."""
        name = f"{self._work.nonce}-{rounds}" if rounds else self._work.nonce
        mark = f"[{name}] "
        if messages:
            first = messages[0]
            messages[0] = _marked(first, mark)
        elif texts:
            texts[0] = mark + texts[0]

    def _from_trace(self, index: int) -> Conversation:
        assert self._rows is not None
        row = self._rows[index]
        if row.messages:
            messages = list(row.messages)
            if self._work.nonce:
                self._mark(messages, [], 0)
            return self._single(index, UserTurn("", 0, row.output_tokens), history=messages)
        return self._single(index, self._traced_turn(index))

    def _traced_turn(self, index: int) -> UserTurn:
        """What a row without messages asks."""
        assert self._rows is not None
        row = self._rows[index]
        if row.turns:
            mark = f"[{self._work.nonce}] " if self._work.nonce else ""
            (given,) = row.turns
            return UserTurn(mark + given, 0, row.output_tokens)
        prompts = self._prompts
        left = row.input_tokens - prompts.words.overhead
        text, left = prompts.opening(self._work.nonce, left)
        for block in row.hash_ids:
            size = min(left, TRACE_BLOCK_TOKENS)
            if size <= 0:
                break
            rng = random.Random(f"{self._work.seed}/block/{block}")
            text += prompts.text(size, rng)
            left -= size
        if left > 0:
            rng = random.Random(f"{self._seed}/{index}")
            text += prompts.text(left, rng)
        return UserTurn(text, row.input_tokens, row.output_tokens)

    def _single(
        self,
        index: int,
        turn: UserTurn,
        *,
        history: list[ChatMessage] | None = None,
        start: bytes | None = None,
    ) -> Conversation:
        """A conversation of one request."""
        return Conversation(
            index,
            self._bodies,
            turns=iter([turn]),
            count=1,
            think_time_s=0.0,
            history=history,
            start=start,
        )

    def due_times_s(self, load: Load) -> Iterator[float]:
        """When each row of a trace is due."""
        assert self._rows is not None
        for index in range(len(self._rows)):
            row = self._rows[index]
            yield row.at_s / load.time_scale

    def close(self) -> None:
        if self._rows is not None:
            self._rows.close()

    def __len__(self) -> int:
        """Rows of a file or trace; 0 for drawn prompts, which never end."""
        return len(self._rows) if self._rows else 0


def _marked(message: ChatMessage, mark: str) -> ChatMessage:
    content = message.get("content")
    if isinstance(content, list):  # parts, as for images
        part = {"type": "text", "text": mark}
        return {**message, "content": [part, *content]}
    return {**message, "content": f"{mark}{content or ''}"}
