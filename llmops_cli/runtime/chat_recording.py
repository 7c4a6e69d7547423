"""Every question and answer as a line of JSON, for people and for replays. No key is in it."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import msgspec

from llmops_cli.runtime.files import cannot_write

GROWING = os.O_WRONLY | os.O_APPEND | os.O_CREAT
OWNER_ONLY = 0o600


class RecordedCall(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`request`: the body as it was sent. `error`: the kind of failure, without an answer."""

    at: str
    url: str
    request: msgspec.Raw
    repeat: int = 0
    text: str | None = None
    error: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    latency_s: float = 0.0
    is_cached: bool = False


def utc_now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class ChatRecording:
    """A file that grows by a line a call; several clients may share it. Use as a context."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Self:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self._path, GROWING, OWNER_ONLY)
        except OSError as error:
            raise cannot_write(self._path, error) from error
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def append(self, call: RecordedCall) -> None:
        rest = memoryview(msgspec.json.encode(call) + b"\n")
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError as error:
            raise cannot_write(self._path, error) from error
