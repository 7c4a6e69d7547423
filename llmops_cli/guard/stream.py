"""Redaction of text that arrives in pieces: the same result however it is cut, a short delay.

A piece is let go when nothing that began in it can still grow: the last run without a space is
held, the numbers before it that may belong together, and a private key until its end. LOOKBACK
characters of what was let go stay as context.
"""

from __future__ import annotations

import re
from collections.abc import Container

from llmops_cli.guard.context import LOOKBACK
from llmops_cli.guard.escapes import LONGEST, unescaped
from llmops_cli.guard.personal import Entity, find, redact
from llmops_cli.guard.plain_signs import plain_signs

CONTEXT = LOOKBACK + 16
HOLD_MOST = 4096
HOLD_WRITTEN_MOST = 4 * HOLD_MOST
"""Of a run as it is written, escapes with all their characters."""
LOOK_AGAIN = 16
"""A long hold is read anew only once it has grown by a sixteenth, so that work stays linear."""
KEY_MOST = 9000
DASHES = "-----"
KEY_HEAD_MOST = 48
RUNS = re.compile(r"\S+")
GROUP = re.compile(r"[\w().+/-]{1,12}")
GROUPS_MOST = 40
"""Runs that may be written apart and belong together: `FR14 2004 1010 ...`, `+49 30 90 18 20`."""
KEY_BEGINS = re.compile(r"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY")
KEY_ENDS = re.compile(r"-----END [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----")
GAP_MOST = 3
OPEN_QUOTE = re.compile(r"(?<![\w.%+'-])\"(?:[^\"\n@]{0,62}|[^\"\n@]{1,62}\"(?:@\S*)?)$")
QUOTED_MOST = 140
LETTERS_MOST = 4
WINDOW = 192


class Redactor:
    """Feed it a model's words; what comes back is safe to show. `kinds` are what is redacted."""

    def __init__(self, kinds: Container[str]) -> None:
        self._kinds = kinds
        self._before = ""
        self._held = ""
        self._look_from = 0
        self.found: list[Entity] = []
        self._at = 0

    def feed(self, piece: str) -> str:
        self._held += piece
        if len(self._held) < self._look_from:
            return ""
        said = self._release(self._safe())
        self._look_from = len(self._held) + len(self._held) // LOOK_AGAIN
        return said

    def finish(self) -> str:
        return self._release(len(self._held))

    def _safe(self) -> int:
        """How much of what is held can no longer become part of something."""
        held = self._held
        safe = _growing_from(held)
        begun = KEY_BEGINS.search(held)
        if begun is None:
            dashes = held.rfind(DASHES)
            if dashes >= 0 and len(held) - dashes < KEY_HEAD_MOST:
                safe = min(safe, dashes)
        elif not KEY_ENDS.search(held, begun.end()) and len(held) - begun.start() < KEY_MOST:
            safe = min(safe, begun.start())
        return safe

    def _release(self, count: int) -> str:
        if count <= 0:
            return ""
        start = len(self._before)
        entities = find(self._before + self._held)
        count = _cut_before(entities, start, count)
        if count == 0:
            return ""
        said = redact(self._held[:count], self._taken(entities, start, count))
        self._before = _context(self._before + self._held[:count])
        self._held = self._held[count:]
        self._at += count
        return said

    def _taken(
        self,
        entities: list[Entity],
        start: int,
        count: int,
    ) -> list[Entity]:
        """What is redacted of the next `count` characters, with places among what is held."""
        inside = []
        for entity in entities:
            first, last = entity.span
            if first < start or last > start + count or entity.kind not in self._kinds:
                continue
            inside.append(_moved(entity, -start))
            self.found.append(_moved(entity, self._at - start))
        return inside


def _cut_before(
    entities: list[Entity],
    start: int,
    count: int,
) -> int:
    """So many of the held characters that nothing which reaches beyond them is cut: it waits."""
    for entity in entities:
        first, last = entity.span
        if start <= first < start + count < last:
            count = first - start
    return count


def _moved(entity: Entity, by: int) -> Entity:
    first, last = entity.span
    return Entity(entity.kind, entity.rule, (first + by, last + by))


def _context(said: str) -> str:
    """So much of what was let go as checks look back, as it stands and as escapes are meant."""
    meant = unescaped(said[-CONTEXT * LONGEST :])
    if meant is None:
        return said[-CONTEXT:]
    more = len(said) - meant.in_source(len(meant.text))
    return said[more + meant.in_source(max(0, len(meant.text) - CONTEXT)) :]


def _growing_from(held: str) -> int:
    """Where that begins which more text could change, as it stands and as escapes are meant."""
    held = plain_signs(held)
    meant = unescaped(held)
    if meant is None:
        return _growing_in(held)
    start = meant.in_source(_growing_in(meant.text))
    if len(held) - start > HOLD_WRITTEN_MOST:
        return len(held)
    return min(_growing_in(held), start)


def _growing_in(held: str) -> int:
    """The last run, and the numbers before it that go on in it."""
    start = max(held.rfind(" "), held.rfind("\n"), held.rfind("\t")) + 1
    if len(held) - start > HOLD_MOST:
        return len(held)
    earlier = list(RUNS.finditer(held, max(0, start - WINDOW), start))
    earlier.reverse()
    safe = start
    end = start
    for run in earlier[:GROUPS_MOST]:
        if "\n" in held[run.end() : end] or end - run.end() > GAP_MOST:
            break
        is_short = len(run[0]) <= LETTERS_MOST
        is_numeric = run[0][0] in "+(" or any(map(str.isdigit, run[0]))
        if is_numeric or (is_short and run[0].isupper()):
            safe = run.start()
        if not GROUP.fullmatch(run[0]) or not (is_numeric or is_short):
            break
        end = run.start()
    return min(safe, _quoted_from(held))


def _quoted_from(held: str) -> int:
    """Where the last quotation begins, which may turn out to be a mail address's name."""
    found = OPEN_QUOTE.search(held, max(0, len(held) - QUOTED_MOST))
    return found.start() if found else len(held)
