"""Why bytes are not the JSON that was asked for, in words of whoever wrote them."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from llmops_cli.core.misfit import misfit_of

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for such bytes."""
SEARCHED_BYTES = 64 << 10
"""Of a stranger's bytes: where a longer text stops being JSON is not looked for."""
CUT_CHARACTER = "half of a surrogate pair stands alone: a text was cut inside a character"


class NoJson(Exception):
    """In words that stand behind a name and a colon."""


def wrong_in(raw: bytes, kind: Any) -> str:  # Any: an annotation
    """Behind a file's name and a colon: `the file is empty`, `line 3, column 7 is not JSON`."""
    if not raw.strip():
        return "the file is empty"
    try:
        value = _value_of(raw)
    except NoJson as error:
        return str(error)
    misfit = misfit_of(value, kind)
    if misfit is None:
        return "it is no plain JSON"
    return misfit.told


def wrong_body(raw: bytes) -> str:
    """Of a request that msgspec could not read, for whoever sent it."""
    if not raw.strip():
        return "the body is empty"
    if len(raw) <= SEARCHED_BYTES:
        try:
            value = _value_of(raw)
            json.dumps(value, ensure_ascii=False).encode()
        except NoJson as error:
            return f"the body cannot be read: {error}"
        except UnicodeEncodeError:
            return f"the body cannot be read: {CUT_CHARACTER}"
    return "the body is not JSON"


def _value_of(raw: bytes) -> object:
    """Raises: NoJson."""
    try:
        return json.loads(raw.decode())
    except json.JSONDecodeError as error:
        raise NoJson(f"line {error.lineno}, column {error.colno} is not JSON") from None
    except UnicodeDecodeError:
        raise NoJson("it is no text in UTF-8") from None
    except RecursionError:
        raise NoJson("it is nested too deeply") from None
    except ValueError:  # Python refuses whole numbers of thousands of digits
        raise NoJson("it holds a number that is too long") from None
