"""Plain values as YAML whose numbers say in a comment where they are from.

The same values give the same bytes: keys stand in the order in which they were put.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable

import yaml

from llmops_cli.deploy.knob import Knob, Plain
from llmops_cli.runtime.yaml_text import LOADER

PLAIN_TEXT = re.compile(r"[A-Za-z/][A-Za-z0-9_./-]*(:[A-Za-z0-9_./-]+)*")
TRUTHS = frozenset(("y", "Y", "n", "N"))
"""To the parser of Kubernetes' own tools, beside those that ours reads so."""
EXACT = 1 << 53
"""Beyond it a number without a point may be another one to who reads it."""
INDENT = "  "
Spell = Callable[[Knob], str | None]
"""What stands in place of a knob's value; None: the value."""


def as_yaml(value: Plain, *, spell: Spell | None = None) -> str:
    lines = _block(value, spell or _as_it_is)
    return "\n".join(lines) + "\n"


def documents(values: Iterable[Plain], *, spell: Spell | None = None) -> str:
    """Several in one file."""
    return "---\n".join(as_yaml(each, spell=spell) for each in values)


def _as_it_is(knob: Knob) -> str | None:
    return None


def _block(value: Plain, spell: Spell) -> list[str]:
    """Lines without indentation."""
    if isinstance(value, Knob):
        return _block(value.value, spell)
    if isinstance(value, dict) and value:
        return _mapping(value, spell)
    if isinstance(value, list | tuple) and value:
        return _sequence(value, spell)
    return [_scalar(value)]


def _mapping(values: dict[str, Plain], spell: Spell) -> list[str]:
    lines: list[str] = []
    for key, value in values.items():
        lines += _entry(f"{_scalar(str(key))}:", value, spell)
    return lines


def _entry(head: str, value: Plain, spell: Spell) -> list[str]:
    note = ""
    spelling = None
    while isinstance(value, Knob):
        note = note or _on_one_line(value.note)
        spelling = spelling or spell(value)
        value = value.value
    above = [f"# {note}"] if note and _is_block(value) else []
    beside = f"  # {note}" if note and not _is_block(value) else ""
    if spelling is not None:
        return [*above, f"{head} {spelling}{beside}"]
    if isinstance(value, str) and "\n" in value:
        return [*above, *_literal(head, value)]
    if _is_block(value):
        inner = [INDENT + line for line in _block(value, spell)]
        return [*above, head, *inner]
    return [f"{head} {_scalar(value)}{beside}"]


def _on_one_line(note: str) -> str:
    """It may hold a path, and a path may hold anything."""
    return "".join(char if char.isprintable() else " " for char in note)


def _is_block(value: Plain) -> bool:
    if isinstance(value, str):
        return "\n" in value
    return isinstance(value, dict | list | tuple) and bool(value)


def _literal(head: str, text: str) -> list[str]:
    """A text of several lines as it is."""
    if text != text.rstrip() + "\n" or text.startswith((" ", "\n")) or not _is_shown(text):
        return [f"{head} {_quoted(text)}"]
    inner = [INDENT + line if line else "" for line in text.splitlines()]
    return [f"{head} |", *inner]


def _is_shown(text: str) -> bool:
    return all(char.isprintable() or char == "\n" for char in text)


def _sequence(values: Iterable[Plain], spell: Spell) -> list[str]:
    lines: list[str] = []
    for each in values:
        if _is_block(_bare(each)) and not isinstance(_bare(each), str):
            first, *rest = _block(each, spell)
            lines.append(f"- {first}")
            lines += [INDENT + line for line in rest]
        else:
            lines += _entry("-", each, spell)
    return lines


def _bare(value: Plain) -> Plain:
    while isinstance(value, Knob):
        value = value.value
    return value


def _scalar(value: Plain) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, dict):
        return "{}"
    if isinstance(value, list | tuple):
        return "[]"
    text = str(value)
    return text if _is_plain(text) else _quoted(text)


def _is_plain(text: str) -> bool:
    """Whether everybody reads it as a text, without quotes."""
    if text in TRUTHS or not PLAIN_TEXT.fullmatch(text):
        return False
    return bool(yaml.load(text, Loader=LOADER) == text)  # noqa: S506 - a safe one


def _number(value: float) -> str:
    """All its digits. Without a point before its exponent YAML 1.1 would read a text."""
    if math.isnan(value):
        return ".nan"
    if math.isinf(value):
        return ".inf" if value > 0 else "-.inf"
    if value.is_integer() and abs(value) < EXACT:
        return str(int(value))
    digits, mark, exponent = repr(value).partition("e")
    if not mark:
        return digits
    return f"{digits if '.' in digits else f'{digits}.0'}e{exponent}"


def _quoted(text: str) -> str:
    """As YAML and JSON both read it, but for what nobody sees, which only YAML has so."""
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(char if char.isprintable() else f"\\U{ord(char):08x}" for char in quoted)
