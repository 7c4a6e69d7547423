"""The fields of a request's body, each read as what it must be. Standard library only.

null is the same as not given. Whatever does not fit is refused by the field's name, in vLLM's words
where it has some.
"""

import json
import math
from typing import Any, NoReturn

from _openai.errors import RequestError
from _shared.crowd import crowd_in
from _shared.wrong_body import wrong_body

MOST_SHOWN = 80

# A body is any JSON; what is read of it is checked here.
Json = dict[str, Any]


def body_of(raw: bytes) -> Json:
    """Raises: RequestError for what is no JSON object, is too much, or holds what no text can."""
    crowd = crowd_in(raw)
    if crowd is not None:
        raise RequestError(f"the body has more than {crowd}")
    try:
        fields = json.loads(raw, parse_constant=_no_number)
        if b"\\u" in raw:
            json.dumps(fields, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise RequestError("the body holds half of a surrogate pair") from None
    except RecursionError:
        raise RequestError("the body is nested too deep") from None
    except ValueError:
        raise RequestError(wrong_body(raw)) from None
    if not isinstance(fields, dict):
        raise RequestError("the body is no JSON object")
    return fields


def _no_number(name: str) -> NoReturn:
    """JSON has no NaN and no Infinity, though Python reads them."""
    raise RequestError(f"the body is not JSON: {name} is no number")


class Fields:
    """A body, field by field."""

    def __init__(self, values: Json) -> None:
        self._values = values

    # Any: a field that a reader of its own takes apart.
    def raw(self, name: str) -> Any:
        return self._values.get(name)

    def names(self) -> list[str]:
        """Those that say something."""
        return [name for name, value in self._values.items() if value is not None]

    def values(self) -> Json:
        return self._values

    def text(self, name: str) -> str | None:
        value = self._values.get(name)
        if value is not None and not isinstance(value, str):
            raise wrong(name, "must be a string", value)
        return value

    def flag(self, name: str) -> bool:
        """False where it is not given."""
        value = self._values.get(name)
        if value is None:
            return False
        if not isinstance(value, bool):
            raise wrong(name, "must be true or false", value)
        return value

    def number(self, name: str) -> float | None:
        """A finite one."""
        value = self._values.get(name)
        if value is None:
            return None
        if not is_number(value):
            raise wrong(name, "must be a finite number", value)
        return float(value)

    def integer(self, name: str) -> int | None:
        """Also 16.0, which some clients write."""
        value = self._values.get(name)
        if value is None:
            return None
        if not is_number(value) or value != int(value):
            raise wrong(name, "must be an integer", value)
        return int(value)

    def record(self, name: str) -> "Fields":
        """An object of its own; an empty one where it is not given."""
        value = self._values.get(name)
        if value is None:
            return Fields({})
        if not isinstance(value, dict):
            raise wrong(name, "must be an object", value)
        return Fields(value)


def is_number(value: object) -> bool:
    """A finite one that a float can hold; true and false are none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def is_token(value: object) -> bool:
    """An integer; whether a model has it is asked elsewhere."""
    return isinstance(value, int) and not isinstance(value, bool)


def wrong(name: str, rule: str, value: object) -> RequestError:
    """A refusal that shows what was given, if that is short."""
    return RequestError(f"{name} {rule}, got {_shown(value)}.", param=name)


def _shown(value: object) -> str:
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return "an object"
    shown = json.dumps(value)
    if len(shown) > MOST_SHOWN:
        return f"{shown[:MOST_SHOWN]}..."
    return shown
