"""Where each attack stands in its suite's file, for whoever shows a finding at its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import quote

import msgspec
import yaml

from llmops_cli.redteam.suite import DATA, FULL, QUICK
from llmops_cli.runtime.yaml_text import UNREADABLE

BUILT_IN = "llmops_cli/redteam/data/attacks.yaml"
OF_FAMILY = ""


class Place(NamedTuple):
    """A stretch of one line, from 1; `end_column` is behind its last character."""

    line: int
    column: int
    end_column: int


BEGINNING = Place(line=1, column=1, end_column=2)
"""Of a file that has no such attack, or that nobody can read."""


class Places(msgspec.Struct, frozen=True, kw_only=True):
    """`uri`: relative to where the run was. places: (family, attack) -> its; of a family alone."""

    uri: str
    places: Mapping[tuple[str, str], Place] = {}

    def place_of(self, family: str, attack: str) -> Place:
        """Of the attack, else of its family, else of the file."""
        found = self.places.get((family, attack))
        return found or self.places.get((family, OF_FAMILY), BEGINNING)


def places_of(recipe: Mapping[str, object]) -> Places:
    """By the run's recipe; a file that is gone since has no lines."""
    suite = str(recipe.get("suite") or QUICK)
    if suite in (QUICK, FULL):
        return Places(uri=BUILT_IN, places=_places_in(DATA))
    path = Path(suite)
    return Places(uri=_uri_of(path), places=_places_in(path))


def _uri_of(path: Path) -> str:
    """Relative below the working folder, where a repository's scan is made.

    By the file itself: a scan of a repository shows nothing behind a link.
    """
    here = Path.cwd().resolve()
    for place in (path.resolve(), path.absolute()):
        if place.is_relative_to(here):
            return quote(PurePosixPath(place.relative_to(here)).as_posix())
    return quote(path.name)


def _places_in(path: Path) -> dict[tuple[str, str], Place]:
    try:
        text = path.read_text(encoding="utf-8")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except (OSError, *UNREADABLE):
        return {}
    return {key: _place(text, mark.index) for key, mark in _marks(root)}


def _place(text: str, at: int) -> Place:
    """To the end of the line: where a block of YAML ends, its parser does not say.

    Lines are a repository's; YAML has others besides, such as U+2028.
    """
    begin = text.rfind("\n", 0, at) + 1
    end = text.find("\n", at)
    line = text[begin:] if end < 0 else text[begin:end]
    number = text.count("\n", 0, at) + 1
    return Place(number, at - begin + 1, len(line.rstrip()) + 1)


def _marks(root: yaml.Node | None) -> Iterator[tuple[tuple[str, str], yaml.Mark]]:
    families = _below(root, "families")
    for name, family in _entries(families):
        family_name = str(name.value)
        yield (family_name, OF_FAMILY), name.start_mark
        attacks = _below(family, "attacks")
        if not isinstance(attacks, yaml.SequenceNode):
            continue
        for attack in attacks.value:
            identity = _below(attack, "id")
            if identity is not None:
                yield (family_name, str(identity.value)), attack.start_mark


def _below(node: yaml.Node | None, key: str) -> yaml.Node | None:
    for name, value in _entries(node):
        if name.value == key:
            return value
    return None


def _entries(node: yaml.Node | None) -> list[tuple[yaml.Node, yaml.Node]]:
    if not isinstance(node, yaml.MappingNode):
        return []
    return list(node.value)
