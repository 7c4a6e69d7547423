"""What a server says, as a JSON object a line, where LLMOPS_LOG_FORMAT=json: prints and logs alike.

The fields are the gateway's (llmops_cli/runtime/log_lines.py). Standard library only.
"""

import atexit
import io
import json
import logging
import os
import sys
import threading
import time
import traceback
from contextlib import suppress
from types import TracebackType
from typing import TextIO

VARIABLE = "LLMOPS_LOG_FORMAT"
JSON = "json"
LONGEST_CHARS = 1 << 16
"""Of what has no end yet: more of it is a line of its own."""


def is_json() -> bool:
    return os.environ.get(VARIABLE) == JSON


def line_of(
    message: str,
    *,
    level: str,
    logger: str,
    exception: str = "",
    at_s: float | None = None,
) -> str:
    at_s = time.time() if at_s is None else at_s
    milliseconds = int(at_s * 1000) % 1000
    at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at_s))
    line = {
        "at": f"{at}.{milliseconds:03d}Z",
        "level": level,
        "logger": logger,
        "process": os.getpid(),
        "message": message,
    }
    if exception:
        line["exception"] = exception
    return json.dumps(line)


class JsonLines(io.TextIOBase):
    """A stream of which each line that is printed becomes an object.

    A line that cannot be written, as to a full disk, is lost: nobody's work ends for its log.
    """

    def __init__(self, stream: TextIO, *, level: str, logger: str) -> None:
        self._stream = stream
        self._level = level
        self._logger = logger
        self._begun = ""
        # Of one thread again: a finalizer or a signal's handler may print within a print.
        self._lock = threading.RLock()
        self.buffer = stream.buffer

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._stream.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        return self._stream.errors

    def reconfigure(self, **options: object) -> None:
        """As programs do with their stdout. An object is ASCII in any encoding."""
        change = getattr(self._stream, "reconfigure", None)
        if change is not None:
            change(**options)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._stream.fileno()

    def write(self, text: str, /) -> int:
        with self._lock:
            *lines, begun = (self._begun + text).split("\n")
            for line in lines:
                self._put(line)
            self._begun = _last_state(begun)
            if len(self._begun) > LONGEST_CHARS:
                self.finish()
        return len(text)

    def put_raw(self, line: str) -> None:
        """An object that is one already."""
        with self._lock:
            self._stream.write(f"{line}\n")
            self._stream.flush()

    def finish(self) -> None:
        """What has no end yet."""
        with self._lock:
            begun = self._begun
            self._begun = ""
            self._put(begun)

    def _put(self, line: str) -> None:
        said = _last_state(line).rstrip()
        if said:
            text = line_of(said, level=self._level, logger=self._logger)
            with suppress(OSError, ValueError):  # a full disk, who reads is gone, or it is closed
                self._stream.write(f"{text}\n")
                self._stream.flush()


def _last_state(line: str) -> str:
    """Of a bar of progress, which returns to the line's beginning and writes over it."""
    said = line.rstrip("\r")
    end = line[len(said) :]
    return said.rpartition("\r")[2] + end[:1]


class JsonHandler(logging.Handler):
    """Records of logging, each with its traceback within."""

    def __init__(self, stream: JsonLines) -> None:
        super().__init__()
        self._to = stream

    def emit(self, record: logging.LogRecord) -> None:
        """A record that cannot be told is told as that, and is no failure of who logs."""
        try:
            self._to.put_raw(_line_of_record(record))
        except Exception:  # noqa: BLE001 - as every handler of logging does
            self.handleError(record)


def _line_of_record(record: logging.LogRecord) -> str:
    exception = ""
    if record.exc_info:
        exception = "".join(traceback.format_exception(*record.exc_info))
    return line_of(
        record.getMessage(),
        level=record.levelname.lower(),
        logger=record.name,
        exception=exception,
        at_s=record.created,
    )


def begin(program: str) -> None:
    """From now on all that this process says by Python. A library in C has its own words."""
    stdout = JsonLines(sys.stdout, level="info", logger=program)
    stderr = JsonLines(sys.stderr, level="warning", logger=program)
    sys.stdout = stdout
    sys.stderr = stderr
    for each in (stdout, stderr):
        atexit.register(each.finish)
    logging.root.handlers = [JsonHandler(stderr)]
    logging.captureWarnings(capture=True)

    def tell_the_end(
        kind: type[BaseException],
        error: BaseException,
        trace: TracebackType | None,
    ) -> None:
        text = "".join(traceback.format_exception(kind, error, trace))
        line = line_of("the process ends", level="critical", logger=program, exception=text)
        stderr.put_raw(line)

    def tell_a_thread_s_end(ended: threading.ExceptHookArgs) -> None:
        parts = traceback.format_exception(ended.exc_type, ended.exc_value, ended.exc_traceback)
        line = line_of("a thread ends", level="error", logger=program, exception="".join(parts))
        stderr.put_raw(line)

    sys.excepthook = tell_the_end
    threading.excepthook = tell_a_thread_s_end
