"""Normalized workload files, read by line number."""

from __future__ import annotations

from array import array
from pathlib import Path

import msgspec


class PromptRow(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A line of a normalized workload file.

    `turns` are user messages to be answered live, after `messages`. `fields`: of the request
    beside them.
    """

    messages: list[dict[str, object]] = []
    turns: list[str] = []
    output_tokens: int = 0
    input_tokens: int = 0
    at_s: float = 0.0
    hash_ids: list[int] = []
    fields: dict[str, msgspec.Raw] = {}


class SkippedRow(msgspec.Struct, frozen=True):
    """A row that a file may have and no request can be made of: where it stands, and why."""

    where: str
    reason: str


class Rows:
    """Lines of a file by number, without holding them."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self._starts = array("q", [0])
        end = 0
        for line in self._file:
            end += len(line)
            self._starts.append(end)
        decoder = msgspec.json.Decoder(PromptRow)
        self._decode = decoder.decode

    def close(self) -> None:
        self._file.close()

    def __len__(self) -> int:
        return len(self._starts) - 1

    def __getitem__(self, index: int) -> PromptRow:
        start = self._starts[index]
        end = self._starts[index + 1]
        self._file.seek(start)
        line = self._file.read(end - start)
        return self._decode(line)
