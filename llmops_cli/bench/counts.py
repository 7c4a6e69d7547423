"""What is counted over a level's requests besides their latencies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from llmops_cli.bench.failure import ErrorKind
from llmops_cli.bench.record import Record, came_at_once

MOST_SAID = 120
"""Characters of a server's words in a note."""
SHORT_ANSWERS = 0.95
WRONG_PROMPTS = 0.05


class Failures:
    """Failed requests by their kind."""

    def __init__(self) -> None:
        self.kinds: Counter[str] = Counter()
        self._first: dict[str, str] = {}
        self.out_of_files = False

    def add(self, record: Record) -> None:
        kind = _kind_of(record)
        self.kinds[kind] += 1
        if kind not in self._first:
            text = record.error or ""
            self._first[kind] = text.removeprefix(kind).removeprefix(":").strip()
        if record.error_kind is ErrorKind.OPEN_FILES:
            self.out_of_files = True

    @property
    def count(self) -> int:
        return self.kinds.total()

    def by_kind(self) -> dict[str, int]:
        """Most frequent first."""
        return dict(self.kinds.most_common())

    def words(self) -> str:
        """The most frequent kinds, each with what the server said the first time."""
        shown = []
        for kind, count in self.kinds.most_common(3):
            said = self._first[kind][:MOST_SAID]
            shown.append(f"{kind} ({count}: {said})" if said else f"{kind} ({count})")
        return ", ".join(shown)


def _kind_of(record: Record) -> str:
    """What a failed request is counted by.

    One that was written before errors had kinds goes by the beginning of its text.
    """
    if record.error_kind is None:
        text = record.error or ""
        kind, _, _ = text.partition(":")
        return kind
    if record.error_kind is ErrorKind.HTTP:
        return f"HTTP {record.status}"
    return record.error_kind.value


class TokenCounts:
    """Tokens of the successful requests that are measured."""

    def __init__(self) -> None:
        self.input = 0
        self.output = 0
        self.cached = 0
        self.hidden = 0
        self._whole = 0
        self._at_once = 0
        self._too_long = 0
        self._by_chunks = 0
        self._output_wanted = 0
        self._input_wanted = 0
        self._input_of_wanted = 0

    def add(self, record: Record) -> None:
        self.input += record.input_tokens
        self.output += record.output_tokens
        self.cached += record.cached_tokens
        self.hidden += record.hidden_tokens
        self._count_unmeasured(record)
        if 0 < record.output_wanted < record.output_tokens:
            self._too_long += 1
        self._by_chunks += record.counted_by == "chunks"
        self._output_wanted += record.output_wanted
        if record.input_wanted:
            self._input_wanted += record.input_wanted
            self._input_of_wanted += record.input_tokens

    def _count_unmeasured(self, record: Record) -> None:
        """Answers of text without times of their own; vectors never have any."""
        if record.texts:
            return
        if record.first_ns is None:
            self._whole += 1
        elif came_at_once(record):
            self._at_once += 1

    def notes(self) -> Iterator[str]:
        """What is odd about them."""
        if self._by_chunks:
            yield "the server sends no usage: output tokens are counted chunks"
        enough = SHORT_ANSWERS * self._output_wanted
        if self._whole:
            yield f"{self._whole:,} answers were no streams: their TTFT and TPOT are not measured"
        if self._at_once:
            yield (
                f"{self._at_once:,} answers came at once, as if held back on their way: "
                "their TPOT is not measured"
            )
        if self.hidden:
            yield (
                f"{self.hidden:,} of {self.output:,} output tokens were thought and not sent: "
                "they are in hidden_tokens, and in no TPOT or tokens/s"
            )
        if self._too_long:
            yield f"{self._too_long:,} answers are longer than the max_tokens that was asked for"
        if self._output_wanted and self.output < enough:
            share = self.output / self._output_wanted
            yield f"answers ended early: {share:.0%} of the wanted output tokens came"
        if self._input_wanted and self._input_of_wanted:
            share = self._input_of_wanted / self._input_wanted
            if abs(share - 1) > WRONG_PROMPTS:
                yield f"prompts had {share:.0%} of the wanted tokens"
