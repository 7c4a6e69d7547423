"""Request bodies, drawn from a seed: the same recipe makes the same ones, in the worker that sends
them.

Prompts are cut from a long text of random words with known token costs, so a prompt of any length
takes microseconds and has exactly the tokens asked for.
"""

from __future__ import annotations

import random
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from functools import cached_property
from itertools import accumulate, count
from pathlib import Path

import msgspec

from llmops_cli.bench.arrivals import Load
from llmops_cli.bench.lengths import parse_lengths
from llmops_cli.bench.plan import Words, Workload
from llmops_cli.bench.session import Turn

WORDS = """
    time year people way day man thing woman life child world school state family student group country problem
    hand part place case week company system program question work number night point home water room mother
    area money story fact month lot right study book eye job word business issue side kind head house service
    friend father power hour game line end member law car city name president team minute idea body back parent
    face others level office door health person art war history party result change morning reason research girl
    guy
""".split()  # noqa: SIM905 - a list of ninety quoted words is no easier to read
RING_WORDS = 8192
NONCE_WORDS = 5
HEAD_WORDS = 6
"""Random words at the beginning of each prompt: with some 90 to choose from, no two prompts share
them.
"""
TRACE_BLOCK_TOKENS = 512
"""Tokens that one hash id of a Mooncake trace stands for."""


class Prompts:
    """Texts of an exact cost in tokens. The first word is always the same; `words.overhead`
    includes it.
    """

    def __init__(self, words: Words, seed: str) -> None:
        self.words = words
        self._cost = dict(zip(words.words, words.costs, strict=True))
        self._filler = min(words.words, key=self._cost.__getitem__)
        rng = random.Random(f"{seed}/ring")
        ring = rng.choices(words.words, k=RING_WORDS)
        self._text = "".join(f" {word}" for word in ring) * 2
        self._costs = [0, *accumulate(self._cost[word] for word in ring * 2)]
        self._places = [0, *accumulate(len(word) + 1 for word in ring * 2)]
        self._whole = self._costs[RING_WORDS]

    def some(self, tokens: int, rng: random.Random, *, head: int = HEAD_WORDS) -> str:
        """A text that costs `tokens`, each word with its leading space; `head` of them drawn one by
        one.
        """
        parts = []
        for _ in range(head):
            word = rng.choice(self.words.words)
            if self._cost[word] > tokens:
                break
            parts.append(f" {word}")
            tokens -= self._cost[word]
        if tokens > 0:
            parts.append(self._slice(tokens, rng.randrange(RING_WORDS)))
        return "".join(parts)

    def _slice(self, tokens: int, start: int) -> str:
        rounds, tokens = divmod(tokens, self._whole)
        whole = self._text[self._places[start] : self._places[start + RING_WORDS]] * rounds
        end = bisect_right(self._costs, self._costs[start] + tokens, start) - 1
        rest = tokens - (self._costs[end] - self._costs[start])
        filler = f" {self._filler}" * (rest // self._cost[self._filler])
        return whole + self._text[self._places[start] : self._places[end]] + filler

    def prompt(
        self,
        tokens: int,
        rng: random.Random,
        *,
        nonce: str,
        prefix: str = "",
        prefix_tokens: int = 0,
    ) -> str:
        """A prompt of `tokens`, its chat template included: first word, nonce, shared prefix, and
        its own words.
        """
        left = tokens - self.words.overhead - prefix_tokens
        lead = ""
        if nonce and left > 2 * NONCE_WORDS:
            lead = self.nonce_words(nonce)
            left -= self.cost(lead)
        return self.words.words[0] + lead + prefix + (self.some(left, rng) if left > 0 else "")

    def nonce_words(self, nonce: str) -> str:
        return "".join(
            f" {word}" for word in random.Random(nonce).choices(self.words.words, k=NONCE_WORDS)
        )

    def cost(self, text: str) -> int:
        return sum(self._cost[word] for word in text.split())


class RequestBodies:
    """JSON bodies around a text or messages; what all requests share is encoded once."""

    def __init__(self, work: Workload) -> None:
        self._chat = work.api == "chat"
        self._limited = not any(
            name in work.fields for name in ("max_tokens", "max_completion_tokens")
        )
        self._start = msgspec.json.encode(work.fields)[:-1] + (b"," if work.fields else b"")

    def _open(self, output_tokens: int) -> bytes:
        return self._start + (b'"max_tokens":%d,' % output_tokens if self._limited else b"")

    def of_text(self, text: str, output_tokens: int) -> bytes:
        quoted = msgspec.json.encode(text)
        if self._chat:
            return (
                self._open(output_tokens)
                + b'"messages":[{"role":"user","content":'
                + quoted
                + b"}]}"
            )
        return self._open(output_tokens) + b'"prompt":' + quoted + b"}"

    def of_messages(self, messages: list[dict[str, object]], output_tokens: int) -> bytes:
        if not self._chat:
            text = "\n".join(str(message["content"]) for message in messages)
            return self.of_text(text, output_tokens)
        return self._open(output_tokens) + b'"messages":' + msgspec.json.encode(messages) + b"}"


class Conversation:
    """A session: user turns one after another, each sent with all that was said before."""

    def __init__(
        self,
        index: int,
        bodies: RequestBodies,
        *,
        turns: Iterator[tuple[str, int, int]],
        count: int,
        think_time_s: float,
        history: list[dict[str, object]] | None = None,
    ) -> None:
        """`turns` are (text, its tokens, wanted output tokens)."""
        self.index = index
        self._bodies = bodies
        self._turns = turns
        self.think_time_s = think_time_s
        self._left = count
        self._messages: list[dict[str, object]] = history or []

    @property
    def needs_answer(self) -> bool:
        return self._left > 0

    def next_turn(self, answer: str | None) -> Turn | None:
        if self._left <= 0:
            return None
        self._left -= 1
        text, tokens, output = next(self._turns)
        if not self._messages and not self._left:
            return Turn(self._bodies.of_text(text, output), tokens, output)
        if answer is not None:
            self._messages.append({"role": "assistant", "content": answer})
        if text:
            self._messages.append({"role": "user", "content": text})
        wanted = (
            tokens if len(self._messages) == 1 else 0
        )  # what was said before has no length that we wanted
        return Turn(self._bodies.of_messages(self._messages, output), wanted, output)


def _marked(message: dict[str, object], mark: str) -> dict[str, object]:
    content = message.get("content")
    if isinstance(content, list):  # parts, as for images
        return {**message, "content": [{"type": "text", "text": mark}, *content]}
    return {**message, "content": f"{mark}{content or ''}"}


class Source:
    """Sessions by number. `seed` differs for each level and repetition."""

    def __init__(self, work: Workload, seed: str) -> None:
        self._work = work
        self._seed = seed
        self._input = parse_lengths(work.input_tokens)
        self._output = parse_lengths(work.output_tokens)
        self._bodies = RequestBodies(work)
        self._rows = Rows(Path(work.spool)) if work.spool else None

    @cached_property
    def _prompts(self) -> Prompts:
        return Prompts(self._work.words, str(self._work.seed))

    @cached_property
    def _prefix(self) -> tuple[str, int]:
        """The shared beginning and its cost, the same for every level."""
        wanted = self._work.shared_prefix_tokens
        if not wanted:
            return "", 0
        text = self._prompts.some(wanted, random.Random(f"{self._work.seed}/prefix"))
        return text, self._prompts.cost(text)

    def session(self, index: int) -> Conversation:
        rng = random.Random(f"{self._seed}/{index}")
        if self._work.kind == "file":
            return self._from_row(index, rng)
        if self._work.kind == "trace":
            return self._from_trace(index)
        turns = self._work.turns or 1
        return Conversation(
            index,
            self._bodies,
            turns=self._draw(rng),
            count=turns,
            think_time_s=self._work.think_time_s,
        )

    def _draw(self, rng: random.Random) -> Iterator[tuple[str, int, int]]:
        work = self._work
        for turn in count():
            tokens = self._input(rng)
            output = self._output(rng)
            shared = (
                turn == 0
                and bool(work.shared_prefix_tokens)
                and rng.random() < work.shared_prefix_share
            )
            prefix, cost = self._prefix if shared else ("", 0)
            tokens = max(tokens, cost + 1)
            nonce = work.nonce if turn == 0 else ""
            yield (
                self._prompts.prompt(tokens, rng, nonce=nonce, prefix=prefix, prefix_tokens=cost),
                tokens,
                output,
            )

    def _from_row(self, index: int, rng: random.Random) -> Conversation:
        assert self._rows is not None
        rounds, place = divmod(index, len(self._rows))
        row = self._rows[place]
        output = row.output_tokens or self._output(rng)
        messages = list(row.messages)
        texts = list(row.turns)
        if (
            self._work.nonce
        ):  # each pass over the file is new to the server's cache, and shares within itself
            mark = f"[{self._work.nonce}{f'-{rounds}' if rounds else ''}] "
            if messages:
                messages[0] = _marked(messages[0], mark)
            elif texts:
                texts[0] = mark + texts[0]
        if self._work.turns is not None:
            texts = texts[: self._work.turns]
        if not texts:  # a list of messages is one request
            turns: Iterator[tuple[str, int, int]] = iter([("", 0, output)])
            return Conversation(
                index, self._bodies, turns=turns, count=1, think_time_s=0.0, history=messages
            )
        turns = ((text, 0, output) for text in texts)
        return Conversation(
            index,
            self._bodies,
            turns=turns,
            count=len(texts),
            think_time_s=self._work.think_time_s,
            history=messages,
        )

    def _from_trace(self, index: int) -> Conversation:
        assert self._rows is not None
        row = self._rows[index]
        prompts = self._prompts
        left = row.input_tokens - prompts.words.overhead
        text = prompts.words.words[0]
        if self._work.nonce and left > 2 * NONCE_WORDS:
            lead = prompts.nonce_words(self._work.nonce)
            text = text + lead
            left = left - prompts.cost(lead)
        for block in row.hash_ids:
            size = min(left, TRACE_BLOCK_TOKENS)
            if size <= 0:
                break
            text += prompts.some(size, random.Random(f"{self._work.seed}/block/{block}"))
            left -= size
        if left > 0:
            text += prompts.some(left, random.Random(f"{self._seed}/{index}"))
        turns = iter([(text, row.input_tokens, row.output_tokens)])
        return Conversation(index, self._bodies, turns=turns, count=1, think_time_s=0.0)

    def due_times_s(self, load: Load) -> Iterator[float]:
        """When each row of a trace is due."""
        assert self._rows is not None
        for index in range(len(self._rows)):
            yield self._rows[index].at_s / load.time_scale

    def close(self) -> None:
        if self._rows is not None:
            self._rows.close()

    def __len__(self) -> int:
        """Rows of a file or trace; 0 for drawn prompts, which never end."""
        return len(self._rows) if self._rows else 0


class PromptRow(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A line of a normalized workload file. `turns` are user messages to be answered live, after
    `messages`.
    """

    messages: list[dict[str, object]] = []
    turns: list[str] = []
    output_tokens: int = 0
    input_tokens: int = 0
    at_s: float = 0.0
    hash_ids: list[int] = []


class Rows:
    """Lines of a file by number, without holding them."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self._starts = array("q", [0])
        for line in self._file:
            self._starts.append(self._starts[-1] + len(line))
        self._decode = msgspec.json.Decoder(PromptRow).decode

    def close(self) -> None:
        self._file.close()

    def __len__(self) -> int:
        return len(self._starts) - 1

    def __getitem__(self, index: int) -> PromptRow:
        self._file.seek(self._starts[index])
        return self._decode(self._file.read(self._starts[index + 1] - self._starts[index]))
