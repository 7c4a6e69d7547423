"""What lies beside a path that is not there, for who mistyped it."""

from __future__ import annotations

from difflib import SequenceMatcher
from itertools import islice
from pathlib import Path

MOST_LOOKED_AT = 1000
MOST_LETTERS = 100
"""Of names that are compared: what it takes grows with their product."""
LIKE = 0.75
"""From which ratio on two names are one, mistyped; of their stems LIKE_STEMS, since a suffix that
two files share says nothing: `in.jsonl` is not `out.jsonl`."""
LIKE_STEMS = 0.7


def near_path(path: Path, otherwise: str = "") -> str:
    """A hint: the path beside it that is called most like it, or what there is to say otherwise."""
    try:
        beside = [entry.name for entry in islice(path.parent.iterdir(), MOST_LOOKED_AT)]
    except OSError:
        return otherwise
    if path.name in beside or len(path.name) > MOST_LETTERS:  # it is there, but of another kind
        return otherwise
    short = [name for name in sorted(beside) if len(name) <= MOST_LETTERS]
    likeness = {name: _likeness(path.name, name) for name in short}
    nearest = max(likeness, key=likeness.__getitem__, default="")
    if likeness.get(nearest, 0) < LIKE:
        return otherwise
    return f"did you mean '{path.with_name(nearest)}'?"


def _likeness(name: str, other: str) -> float:
    """From 0 to 1; 0 for two numbers of one series, as `epoch-2` and `epoch-3`."""
    if len(name) == len(other) and _lettered(name) == _lettered(other):
        return 0
    stems = _ratio(Path(name).stem, Path(other).stem)
    return _ratio(name, other) if stems >= LIKE_STEMS else 0


def _lettered(name: str) -> str:
    return "".join("0" if letter.isdigit() else letter for letter in name)


def _ratio(name: str, other: str) -> float:
    return SequenceMatcher(a=name.lower(), b=other.lower(), autojunk=False).ratio()
