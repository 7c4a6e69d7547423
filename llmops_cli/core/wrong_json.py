"""Why bytes are not the JSON that was asked for, in words of whoever wrote them."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from llmops_cli.core.misfit import misfit_of


def wrong_in(raw: bytes, kind: Any) -> str:  # Any: an annotation
    """Behind a file's name and a colon: `the file is empty`, `line 3, column 7 is not JSON`."""
    if not raw.strip():
        return "the file is empty"
    try:
        value = json.loads(raw.decode())
    except json.JSONDecodeError as error:
        return f"line {error.lineno}, column {error.colno} is not JSON"
    except UnicodeDecodeError:
        return "it is no text in UTF-8"
    except RecursionError:
        return "it is nested too deeply"
    misfit = misfit_of(value, kind)
    if misfit is None:
        return "it is no plain JSON"
    return misfit.told


UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for such bytes."""
