"""What processes say on stderr, as words or as a JSON object a line (LLMOPS_LOG_FORMAT=json).

The variable is inherited, so that all processes of a command say it in one form; engines' side of
it is workers/_shared/log_lines.py.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from types import TracebackType
from typing import Any, TextIO

import msgspec

VARIABLE = "LLMOPS_LOG_FORMAT"
JSON = "json"
TEXT = "text"
FORMATS = (TEXT, JSON)
WORDS = "%(asctime)s %(levelname)s %(message)s"


class LogLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`at`: UTC. `logger`: who says it. `exception`: with its traceback. `hint`: what mends it."""

    at: str
    level: str
    logger: str
    process: int
    message: str
    hint: str = ""
    exception: str = ""


def is_json() -> bool:
    return os.environ.get(VARIABLE) == JSON


def choose(form: str) -> None:
    """For this process and all that it starts from now on."""
    os.environ[VARIABLE] = form


def begin() -> None:
    """What a command says from now on, its libraries and its end included."""
    if is_json():
        log_everything()


def line_of(
    message: str,
    *,
    level: str = "info",
    logger: str = "llmops",
    hint: str = "",
    exception: str = "",
    at_s: float | None = None,
) -> str:
    at_s = time.time() if at_s is None else at_s
    milliseconds = int(at_s * 1000) % 1000
    at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at_s))
    line = LogLine(
        at=f"{at}.{milliseconds:03d}Z",
        level=level,
        logger=logger,
        process=os.getpid(),
        message=message,
        hint=hint,
        exception=exception,
    )
    return msgspec.json.encode(line).decode()


class JsonFormatter(logging.Formatter):
    """A record as one line, its traceback within."""

    def format(self, record: logging.LogRecord) -> str:
        exception = self.formatException(record.exc_info) if record.exc_info else ""
        return line_of(
            _encodable(record.getMessage()),
            level=record.levelname.lower(),
            logger=record.name,
            exception=_encodable(exception),
            at_s=record.created,
        )


def handler_of(stream: TextIO) -> logging.Handler:
    """In the form that was chosen."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter() if is_json() else logging.Formatter(WORDS))
    return handler


def log_everything() -> None:
    """Of libraries too, warnings and what ends the process included: all of stderr is JSON then."""
    logging.root.handlers = [handler_of(sys.stderr)]
    logging.captureWarnings(True)
    sys.excepthook = _log_the_end
    threading.excepthook = _log_a_thread_s_end


def _log_the_end(
    kind: type[BaseException],
    error: BaseException,
    trace: TracebackType | None,
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    information: Any = (kind, error, trace)  # Any: as logging has it
    logging.getLogger("llmops").critical("the process ends", exc_info=information)


def _log_a_thread_s_end(ended: threading.ExceptHookArgs) -> None:
    information: Any = (ended.exc_type, ended.exc_value, ended.exc_traceback)  # Any: as above
    logging.getLogger("llmops").error("a thread ends", exc_info=information)


def _encodable(text: str) -> str:
    """Half of a surrogate pair, as in a name of a file, is no JSON."""
    return text.encode("utf-8", "backslashreplace").decode()
