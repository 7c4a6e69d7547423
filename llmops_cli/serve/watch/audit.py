"""The audit log: a JSON line for each request, in a file that is turned over by size.

No keys; bodies if asked for.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from llmops_cli.core.errors import EnvironmentMissing

TURN_BYTES = 100 << 20
KEPT = 5
BODY_MOST = 64 << 10
READ_MOST = BODY_MOST + (4 << 10)
"""Of a body, to know what stands at the end of the part that is written."""
AuditSend = Callable[[MutableMapping[str, Any]], Awaitable[None]]  # Any: ASGI


class AuditBodies(NamedTuple):
    """What was asked and what was answered, as they were."""

    asked: bytes
    said: bytes

    def beginnings(self) -> list[bytes]:
        return [self.asked[:READ_MOST], self.said[:READ_MOST]]


class AuditedOrder(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an operator ordered, and what was set by it.

    `percent`: of the traffic, that a canary gets from then on; of an order that was refused, what
    was asked for. `config`: the digest of what is served from then on, or still.
    """

    action: str
    model: str = ""
    percent: int | None = None
    changed: bool = False
    config: str = ""
    reason: str = ""


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One request. `key` is the key's id; bodies are redacted and cut at BODY_MOST.

    `member`: which of an upstream's, if it has several. `prompt`: NAME@VERSION of ours.
    `build`, `config`, `model_digest`: digests of the code, of the configuration that the request
    began with, and of the model's files, if the upstream tells that.
    `saved_tokens`: by compression, estimated.
    `stance`: how the model stood to what the guard suspected, of a sample (`suspicious`).
    `keys`: whose keys were in the prompt or the answer, such as `input openai`; never a key.
    `rates`: the request whose answer was rated. `order`: of an operator, to deploy something.
    """

    at: str
    request: str
    route: str
    status: int
    key: str = ""
    ip: str = ""
    model: str = ""
    prompt: str = ""
    upstream: str = ""
    member: str = ""
    build: str = ""
    config: str = ""
    model_digest: str = ""
    side: str = ""
    stream: bool = False
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    saved_tokens: int = 0
    reasoning_tokens: int = 0
    audio_input_tokens: int = 0
    audio_output_tokens: int = 0
    dollars: float = 0.0
    cache: str = ""
    first_ms: float = 0.0
    total_ms: float = 0.0
    guard: str = ""
    stance: str = ""
    keys: list[str] = []
    error: str = ""
    ended: str = ""
    tags: dict[str, str] = {}
    asked: str = ""
    said: str = ""
    rates: str = ""
    score: float | None = None
    labels: list[str] = []
    order: AuditedOrder | None = None


class BodyRecorder:
    """A `send` that remembers the beginning of what went through it."""

    def __init__(self, send: AuditSend) -> None:
        self._send = send
        self._parts = list[bytes]()
        self._size = 0

    async def send(self, message: MutableMapping[str, Any]) -> None:  # Any: ASGI
        body = message.get("body", b"")
        if body and self._size < READ_MOST:
            self._parts.append(body)
            self._size += len(body)
        await self._send(message)

    def recorded(self) -> bytes:
        return b"".join(self._parts)


class AuditLog:
    """Appends, several processes to one file.

    A full disk costs the line, which is counted, and never the request.
    """

    def __init__(self, path: Path | None, *, bodies: bool = False) -> None:
        """Raises: EnvironmentMissing if nothing can be written there."""
        self._path = path
        self._file = -1
        self._size = 0
        self.lost = 0
        self.bodies = bodies and path is not None
        if path is not None:
            self._begin(path)

    def _begin(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._open()
        except OSError as error:
            raise EnvironmentMissing(
                f"cannot write the audit log {path}: {error.strerror}",
                hint="move it away, set LLMOPS_STATE_DIR, or audit: {on: false}",
            ) from error

    def _open(self) -> None:
        """What was open stays so until another is. Raises: OSError."""
        assert self._path is not None
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        opened = os.open(self._path, flags, 0o600)
        if self._file >= 0:
            os.close(self._file)
        self._file = opened
        self._size = os.fstat(opened).st_size

    def write(self, entry: msgspec.Struct) -> None:
        if self._path is None:
            return
        line = msgspec.json.encode(entry) + b"\n"
        try:
            if self._size + len(line) > TURN_BYTES:
                with suppress(OSError):  # one that cannot be turned over grows on
                    self._turn()
            self._size += os.write(self._file, line)
        except OSError:
            self.lost += 1

    def look(self) -> None:
        """Follows the file where another process, or logrotate, has turned it over."""
        if self._path is None:
            return
        with suppress(OSError):
            mine = os.fstat(self._file)
            self._size = mine.st_size
            if _inode(self._path) != mine.st_ino:
                self._open()

    def _turn(self) -> None:
        """Whoever comes first turns; the others find a new file. Raises: OSError."""
        assert self._path is not None
        lock_path = self._path.with_name(f"{self._path.name}.lock")
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        lock = os.open(lock_path, flags, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if _size(self._path) > TURN_BYTES // 2:
                _turn_over(self._path)
            self._open()
        finally:
            os.close(lock)

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
            self._path = None


def _inode(path: Path) -> int:
    """0 if there is no such file."""
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return 0


def _size(path: Path) -> int:
    """0 if there is no such file."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _turn_over(path: Path) -> None:
    """audit.jsonl becomes audit.jsonl.1, that .2, and so on; the oldest goes."""
    for number in range(KEPT - 1, 0, -1):
        older = path.with_name(f"{path.name}.{number}")
        if older.exists():
            older.replace(path.with_name(f"{path.name}.{number + 1}"))
    path.replace(path.with_name(f"{path.name}.1"))


def now() -> str:
    """UTC, to the millisecond."""
    milliseconds = int(time.time() * 1000)
    second, rest = divmod(milliseconds, 1000)
    return f"{_shown(second)}.{rest:03d}Z"


@lru_cache(1)
def _shown(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
