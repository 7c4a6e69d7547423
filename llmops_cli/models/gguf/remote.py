"""The head of a GGUF file on a web server, by requests for ranges of its bytes.

Only the host that was named is asked. What it answers is taken for hostile: sizes and times have
bounds, and every answer must be the range that was asked for.
"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from llmops_cli.core.errors import UsageError
from llmops_cli.core.urls import refuse_secrets, shown_url
from llmops_cli.models.gguf.cursor import BrokenError, Window
from llmops_cli.models.gguf.header import MAGIC, GgufHeader, header_in, shown
from llmops_cli.models.gguf.parts import (
    COUNT_KEY,
    PART,
    GgufModel,
    check_model,
    check_parts,
)
from llmops_cli.runtime.ranges import RangeError, RangeReader

PIECE_BYTES = 1 << 19
MOST_READ_BYTES = 1 << 26
"""Of one file: the longest lists of contents have some twenty million bytes."""
MOST_REMOTE_PARTS = 200
_NOT_NAME = re.compile(r"[^A-Za-z0-9._-]")


def read_remote(url: str) -> GgufModel:
    """The model of a file's URL, or of that of any part, with the parts beside it.

    Raises: UsageError for what cannot be had, is no GGUF model or is no address.
    """
    refuse_secrets(url, field="model")
    first = _header(url)
    count = first.number(COUNT_KEY) or 0
    parts = (first,) if count <= 1 else _parts(url, first, count)
    model = GgufModel(parts=parts)
    check_model(model)
    return model


def _parts(url: str, first: GgufHeader, count: int) -> tuple[GgufHeader, ...]:
    place, _, query = url.partition("?")
    folder, _, name = place.rpartition("/")
    named = PART.fullmatch(name)
    if named is None or int(named["count"]) != count or count > MOST_REMOTE_PARTS:
        raise UsageError(
            f"{shown_url(url)} says that it is one of {count:,} parts, unlike its name",
            hint=f"parts are called NAME-00001-of-{count:05d}.gguf, at most {MOST_REMOTE_PARTS}",
        )
    found = []
    for number in range(1, count + 1):
        part = f"{folder}/{named['stem']}-{number:05d}-of-{count:05d}.gguf"
        if number == int(named["number"]):
            found.append(first)
        else:
            found.append(_header(f"{part}?{query}" if query else part))
    check_parts(found)
    return tuple(found)


def _header(url: str) -> GgufHeader:
    try:
        with RangeReader(url) as reader:
            pieces = _Remote(reader)
            if pieces.window(0, len(MAGIC)).data[: len(MAGIC)] != MAGIC:
                raise UsageError(
                    f"{shown_url(url)} is no GGUF file",
                    hint="the URL of a .gguf file itself, not of its page",
                )
            return header_in(_path(url), pieces)
    except RangeError as error:
        raise UsageError(f"{shown_url(url)} cannot be read: {error}", hint=error.hint) from None
    except BrokenError as error:
        raise UsageError(f"{shown_url(url)} is no whole GGUF file: {error}") from None


def _path(url: str) -> Path:
    """What the file would be called here."""
    name = unquote(urlsplit(url).path).rpartition("/")[2]
    return Path(_NOT_NAME.sub("_", shown(name)) or "model.gguf")


class _Remote:
    """Pieces are read when they are needed; what is passed over between them is not."""

    def __init__(self, reader: RangeReader) -> None:
        self._reader = reader
        self._window = Window(reader.read(0, PIECE_BYTES), 0)
        self._read_bytes = len(self._window.data)

    @property
    def size_bytes(self) -> int:
        return self._reader.size_bytes

    def window(self, begin: int, count_bytes: int) -> Window:
        held = self._window
        if held.begin <= begin and begin + count_bytes <= held.end:
            return held
        end = min(begin + max(count_bytes, PIECE_BYTES), self.size_bytes)
        self._read_bytes += end - begin
        if self._read_bytes > MOST_READ_BYTES:
            raise BrokenError(f"its list of contents is longer than {MOST_READ_BYTES >> 20} MiB")
        self._window = Window(self._reader.read(begin, end - begin), begin)
        return self._window
