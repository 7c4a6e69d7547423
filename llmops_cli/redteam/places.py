"""Where each attack stands in its suite's file, for whoever shows a finding at its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from urllib.parse import quote

import msgspec
import yaml

from llmops_cli.redteam.suite import DATA, FULL, QUICK
from llmops_cli.runtime.yaml_text import UNREADABLE

BUILT_IN = "llmops_cli/redteam/data/attacks.yaml"
OF_FAMILY = ""


class Places(msgspec.Struct, frozen=True, kw_only=True):
    """`uri`: relative to where the run was. lines: (family, attack) -> line; of a family alone."""

    uri: str
    lines: Mapping[tuple[str, str], int] = {}

    def line_of(self, family: str, attack: str) -> int:
        """Of the attack, else of its family, else of the file."""
        found = self.lines.get((family, attack))
        return found or self.lines.get((family, OF_FAMILY), 1)


def places_of(recipe: Mapping[str, object]) -> Places:
    """By the run's recipe; a file that is gone since has no lines."""
    suite = str(recipe.get("suite") or QUICK)
    if suite in (QUICK, FULL):
        return Places(uri=BUILT_IN, lines=_lines_in(DATA))
    path = Path(suite)
    return Places(uri=_uri_of(path), lines=_lines_in(path))


def _uri_of(path: Path) -> str:
    """Relative below the working folder, where a repository's scan is made."""
    try:
        inside = path.absolute().relative_to(Path.cwd())
    except ValueError:
        inside = Path(path.name)
    return quote(str(PurePosixPath(inside)))


def _lines_in(path: Path) -> dict[tuple[str, str], int]:
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError, *UNREADABLE):
        return {}
    return dict(_lines(root))


def _lines(root: yaml.Node | None) -> Iterator[tuple[tuple[str, str], int]]:
    families = _below(root, "families")
    for name, family in _entries(families):
        family_name = str(name.value)
        yield (family_name, OF_FAMILY), name.start_mark.line + 1
        attacks = _below(family, "attacks")
        if not isinstance(attacks, yaml.SequenceNode):
            continue
        for attack in attacks.value:
            identity = _below(attack, "id")
            if identity is not None:
                yield (family_name, str(identity.value)), attack.start_mark.line + 1


def _below(node: yaml.Node | None, key: str) -> yaml.Node | None:
    for name, value in _entries(node):
        if name.value == key:
            return value
    return None


def _entries(node: yaml.Node | None) -> list[tuple[yaml.Node, yaml.Node]]:
    if not isinstance(node, yaml.MappingNode):
        return []
    return list(node.value)
