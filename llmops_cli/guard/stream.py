"""Redaction of text that arrives in pieces: the same result however it is cut, with a short,
bounded delay.

A piece is let go when nothing that began in it can still grow: the last run without a space is
held, the numbers before it that may belong together, and a private key until its end. LOOKBACK
characters of what was let go stay as context.
"""

from __future__ import annotations

import re
from collections.abc import Container

from llmops_cli.guard.context import LOOKBACK
from llmops_cli.guard.personal import Entity, find, redact

HOLD_MOST = 4096
KEY_MOST = 9000
RUNS = re.compile(r"\S+")
GROUP = re.compile(r"[\w().+/-]{1,12}")
GROUPS_MOST = 12
"""Runs that may be written apart and belong together: `FR14 2004 1010 ...`, `+49 30 90 18 20`."""
KEY_BEGINS = re.compile(r"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY")
KEY_ENDS = re.compile(r"-----END [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----")
LETTERS_MOST = 4
WINDOW = 192


class Redactor:
    """Feed it a model's words; what comes back is safe to show. `kinds` are what is redacted."""

    def __init__(self, kinds: Container[str]) -> None:
        self._kinds = kinds
        self._before = ""
        self._held = ""
        self.found: list[Entity] = []
        self._at = 0

    def feed(self, piece: str) -> str:
        self._held += piece
        return self._release(self._safe())

    def finish(self) -> str:
        return self._release(len(self._held))

    def _safe(self) -> int:
        """How much of what is held can no longer become part of something."""
        held = self._held
        safe = _growing_from(held)
        begun = KEY_BEGINS.search(held)
        if (
            begun
            and not KEY_ENDS.search(held, begun.end())
            and len(held) - begun.start() < KEY_MOST
        ):
            safe = min(safe, begun.start())
        dashes = held.rfind("-----")
        if dashes >= 0 and len(held) - dashes < 48 and not begun:
            safe = min(safe, dashes)
        return safe

    def _release(self, count: int) -> str:
        if count <= 0:
            return ""
        text = self._before + self._held
        start = len(self._before)
        inside = []
        entities = find(text)
        for entity in entities:  # what reaches beyond the cut waits
            if entity.span[0] < start + count < entity.span[1] and entity.span[0] >= start:
                count = entity.span[0] - start
        for entity in entities:
            first, last = entity.span
            if first >= start and last <= start + count and entity.kind in self._kinds:
                inside.append(Entity(entity.kind, entity.rule, (first - start, last - start)))
                self.found.append(
                    Entity(
                        entity.kind,
                        entity.rule,
                        (first - start + self._at, last - start + self._at),
                    )
                )
        if count == 0:
            return ""
        said = redact(self._held[:count], inside)
        self._before = (self._before + self._held[:count])[-LOOKBACK - 16 :]
        self._held = self._held[count:]
        self._at = self._at + count
        return said


def _growing_from(held: str) -> int:
    """Where that begins which more text could change: the last run, and the numbers before it that
    go on in it.
    """
    start = max(held.rfind(" ", 0, len(held)), held.rfind("\n"), held.rfind("\t")) + 1
    if len(held) - start > HOLD_MOST:
        return len(held)
    earlier = list(RUNS.finditer(held, max(0, start - WINDOW), start))[::-1]
    safe = start
    end = start
    for run in earlier[:GROUPS_MOST]:
        if "\n" in held[run.end() : end] or end - run.end() > 2:
            break
        numeric = any(map(str.isdigit, run[0])) or run[0][0] in "+("
        whole = GROUP.fullmatch(run[0]) and (numeric or len(run[0]) <= LETTERS_MOST)
        if numeric or (run[0].isupper() and len(run[0]) <= LETTERS_MOST):
            safe = run.start()
        if not whole:
            break
        end = run.start()
    return safe
