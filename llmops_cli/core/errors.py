"""Every error a user can meet, with its exit code.

LlmopsError (1)
├── UsageError (2)         a flag, a recipe or a model that cannot be used
├── EnvironmentMissing (3) an engine, library, key, model file or disk space that is not there
├── EngineFailed (4)       an engine or job that started and then failed, or made what is wrong
├── GateFailed (5)         a measured value that breaks a limit, the user's or its type's
└── Interrupted (130)      Ctrl-C or SIGTERM
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class LlmopsError(Exception):
    """A failure the user can act on: one line of what, one line of what next."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(LlmopsError):
    exit_code = 2


class EnvironmentMissing(LlmopsError):
    exit_code = 3


class EngineFailed(LlmopsError):
    exit_code = 4


class GateFailed(LlmopsError):
    exit_code = 5


class Interrupted(LlmopsError):
    exit_code = 130


class Terminated(KeyboardInterrupt):
    """SIGTERM, which ends a command as Ctrl-C does."""


EXIT_CODES: dict[str, type[LlmopsError]] = {
    cls.__name__: cls
    for cls in (UsageError, EnvironmentMissing, EngineFailed, GateFailed, Interrupted)
}


def unknown_name(
    kind: str,
    name: str,
    known: Iterable[str],
    *,
    listed_by: str = "",
) -> UsageError:
    """An error for a name that is not in a table, with the nearest one that is.

    `listed_by`: a command that shows all of a long table.
    """
    hint = nearest_name(name, known, listed_by=listed_by)
    return UsageError(f"unknown {kind} '{name}'", hint=hint)


MOST_LISTED = 60
"""Names that are read in one line; of a longer table a command shows all."""
NAME_MOST = 200
"""Comparing costs the product of the lengths, and a name may be a stranger's."""


def nearest_name(name: str, known: Iterable[str], *, listed_by: str = "") -> str:
    """A hint: the name of the table that looks most like it, or all of a table of some length."""
    names = sorted(known)
    nearest = close_name(name, names)
    if nearest:
        return nearest
    if len(names) > MOST_LISTED:
        none = f"none of {len(names)} known names is like it"
        return f"{none}: {listed_by}" if listed_by else none
    listed = ", ".join(names) or "none yet"
    return f"known: {listed}"


def close_name(name: str, known: Iterable[str]) -> str:
    """A hint: the name of the table that looks most like it; empty where none does."""
    nearest = _nearest(name, sorted(known))
    return "" if nearest is None else f"did you mean '{nearest}'?"


def _nearest(name: str, names: list[str]) -> str | None:
    """The name that looks most like it, in any case; a text is no name that was mistyped."""
    if len(name) > NAME_MOST:
        return None
    folded = {}
    for candidate in names:
        folded[candidate.lower()] = candidate
    plain = name.lower()
    close = difflib.get_close_matches(plain, folded, n=1, cutoff=0.5)
    if not close:
        return None
    return folded[close[0]]
