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
from types import TracebackType
from typing import TextIO

VARIABLE = "LLMOPS_LOG_FORMAT"
JSON = "json"


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
    """A stream of which each line that is printed becomes an object."""

    def __init__(self, stream: TextIO, *, level: str, logger: str) -> None:
        self._stream = stream
        self._level = level
        self._logger = logger
        self._begun = ""
        self._lock = threading.Lock()
        self.buffer = stream.buffer

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._stream.fileno()

    def write(self, text: str, /) -> int:
        with self._lock:
            *lines, self._begun = (self._begun + text).split("\n")
            for line in lines:
                self._put(line)
        return len(text)

    def put_raw(self, line: str) -> None:
        """An object that is one already."""
        with self._lock:
            self._stream.write(f"{line}\n")
            self._stream.flush()

    def finish(self) -> None:
        """What has no end yet."""
        with self._lock:
            self._put(self._begun)
            self._begun = ""

    def _put(self, line: str) -> None:
        if line.strip():
            text = line_of(line.rstrip(), level=self._level, logger=self._logger)
            self._stream.write(f"{text}\n")
            self._stream.flush()


class JsonHandler(logging.Handler):
    """Records of logging, each with its traceback within."""

    def __init__(self, stream: JsonLines) -> None:
        super().__init__()
        self._to = stream

    def emit(self, record: logging.LogRecord) -> None:
        exception = ""
        if record.exc_info:
            exception = "".join(traceback.format_exception(*record.exc_info))
        line = line_of(
            record.getMessage(),
            level=record.levelname.lower(),
            logger=record.name,
            exception=exception,
            at_s=record.created,
        )
        self._to.put_raw(line)


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
