"""What may be done to an answer before it is judged: declared steps, never code that is run.

The few expressions in which promptfoo's files do nearly all of it are read as such steps:
`JSON.parse(output).name[0]`, `output.trim().toLowerCase()`, `output.split("####")[1]`.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from typing import Any

import msgspec

from llmops_cli.core.errors import UsageError

Step = Callable[[Any], Any]  # Any: a text, or what JSON holds

PARSE = "JSON.parse("
ANSWER = "output"
_PART = re.compile(
    r"""
      \.(?P<call>trim|toLowerCase|toUpperCase|trimStart|trimEnd)\(\)
    | \.split\((?P<quote>['"])(?P<cut>(?:\\.|(?!(?P=quote)).)*)(?P=quote)\)
    | \.(?:(?P<pop>pop)\(\)|at\((?P<at>-?\d+)\))
    | \??\.?\[(?P<number>\d+)\]
    | \[(?P<mark>['"])(?P<key>[^'"]*)(?P=mark)\]
    | \??\.(?P<name>[A-Za-z_$][\w$]*)(?!\s*\()
    """,
    re.VERBOSE,
)
CALLS: dict[str, Step] = {
    "trim": lambda text: _text(text).strip(),
    "trimStart": lambda text: _text(text).lstrip(),
    "trimEnd": lambda text: _text(text).rstrip(),
    "toLowerCase": lambda text: _text(text).lower(),
    "toUpperCase": lambda text: _text(text).upper(),
}
EXAMPLE = "such as JSON.parse(output).name, output.trim(), output.split('####')[1]"


class CannotTransform(Exception):
    """An answer that has no such part."""


class Transform(msgspec.Struct, frozen=True):
    """Steps in order. `written`: as the file has them."""

    written: str
    steps: tuple[Step, ...]

    def __call__(self, answer: Any) -> Any:  # Any: a text, or what JSON holds
        """Raises: CannotTransform."""
        value = answer
        for step in self.steps:
            try:
                value = step(value)
            except (ValueError, RecursionError) as error:
                raise CannotTransform(f"{self.written} is given what is no JSON") from error
            except (TypeError, LookupError) as error:
                raise CannotTransform(f"{self.written} finds no such part") from error
        return value


def read_transform(text: str) -> Transform:
    """Raises: UsageError for what is no declared step."""
    rest = text.strip()
    rest = rest.removeprefix("return ").rstrip(";").strip()
    steps: list[Step] = []
    rest = _read(rest, steps, text)
    if rest:
        raise _refused(text)
    return Transform(text.strip(), tuple(steps))


def _read(rest: str, steps: list[Step], text: str) -> str:
    """What is left behind one expression, whose steps are added."""
    if rest.startswith(PARSE):
        rest = _read(rest.removeprefix(PARSE), steps, text)
        if not rest.startswith(")"):
            raise _refused(text)
        rest = rest[1:]
        steps.append(json.loads)
    elif rest.startswith(ANSWER):
        rest = rest.removeprefix(ANSWER)
    else:
        raise _refused(text)
    while rest and not rest.startswith(")"):
        found = _PART.match(rest)
        if found is None:
            raise _refused(text)
        steps.append(_step(found))
        rest = rest[found.end() :]
    return rest


def as_text(value: Any) -> str:  # Any: a text, or what JSON holds
    """What text assertions see: a text as it is, anything else as JSON."""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _step(found: re.Match[str]) -> Step:
    if found["call"]:
        return CALLS[found["call"]]
    if found["cut"] is not None:
        cut = _unescaped(found["cut"])
        return lambda text: _text(text).split(cut) if cut else list(_text(text))
    if found["pop"] or found["at"]:
        at = int(found["at"] or -1)
        return lambda items: items[at]
    if found["number"]:
        number = int(found["number"])
        return lambda items: items[number]
    name = found["key"] or found["name"]
    if name == "length":
        return len
    return lambda mapping: mapping[name]


_ESCAPE = re.compile(
    r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|u\{([0-9a-fA-F]{1,6})\}|(.))", re.DOTALL
)
_LETTERS = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "0": "\0"}


def _unescaped(text: str) -> str:
    """As JavaScript reads what stands between quotes; halves of a character are put together."""

    def char_of(found: re.Match[str]) -> str:
        code = found[1] or found[2] or found[3]
        if code is None:
            return _LETTERS.get(found[4], found[4])
        return chr(min(int(code, 16), sys.maxunicode))

    read = _ESCAPE.sub(char_of, text)
    return read.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _text(value: Any) -> str:  # Any: a text, or what JSON holds
    if not isinstance(value, str):
        raise TypeError("it is no text")
    return value


def _refused(text: str) -> UsageError:
    return UsageError(f"'{text}' is code, which is not run", hint=EXAMPLE)
