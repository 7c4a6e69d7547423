"""What reading a file finds beside cases: unknown keys, unsupported parts, notes, files."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from llmops_cli.core.errors import UsageError, nearest_name
from llmops_cli.prompt.case_file.lined import LinedDict, Where
from llmops_cli.prompt.case_file.suite import Unsupported

MOST_NAMED = 12
"""Findings in one error."""


class Findings:
    """Grows while a file and those it points to are read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files: list[Path] = [path]
        self.unknown: list[str] = []
        self.nearest: list[str] = []
        """A hint for each of them."""
        self.left_out: list[Unsupported] = []
        self.notes: list[Unsupported] = []

    def leave_out(self, where: Where, what: str) -> None:
        """It would change results, and is not done here."""
        self.left_out.append(Unsupported(where=str(where), what=what))

    def note(self, where: Where, what: str) -> None:
        """It changes no result."""
        self.notes.append(Unsupported(where=str(where), what=what))

    def check_keys(
        self,
        mapping: LinedDict,
        *,
        known: Collection[str],
        unsupported: Collection[str] = (),
        unused: Collection[str] = (),
        of: str,
    ) -> None:
        """Sorts the keys that nobody reads."""
        for name in mapping:
            if name in known:
                continue
            where = mapping.where_is(name)
            if name in unsupported:
                self.leave_out(where, f"{of} '{name}' is not supported")
            elif name in unused:
                self.note(where, f"{of} '{name}' has no meaning here")
            else:
                hint = nearest_name(name, [*known, *unsupported, *unused])
                close = f" ({hint})" if hint.startswith("did") else ""
                self.unknown.append(f"{where}: unknown key '{name}' of {of}{close}")
                self.nearest.append(hint)

    def require_known(self) -> None:
        """Raises: UsageError naming every unknown key with its line."""
        if not self.unknown:
            return
        raise UsageError(_listed(self.unknown), hint=self.nearest[0])


def require_supported(left_out: Collection[Unsupported]) -> None:
    """Raises: UsageError naming everything that would be left out."""
    if not left_out:
        return
    raise UsageError(
        _listed([str(each) for each in left_out]),
        hint="--skip-unsupported goes without them, and the report says so",
    )


def _listed(texts: list[str]) -> str:
    shown = texts[:MOST_NAMED]
    more = len(texts) - len(shown)
    if more:
        shown.append(f"and {more} more")
    return "; ".join(shown)
