"""What a text says once decoded, judged by the evidence that the text itself does not show."""

from __future__ import annotations

from collections import deque

from llmops_cli.guard.evidence import ATTACK, DISGUISE, HIDDEN_TEXT, Evidence, Scan, Span
from llmops_cli.guard.normalise import normalise
from llmops_cli.guard.phrases import meanings_held, rules_held, says_new_words
from llmops_cli.guard.pieces import WINDOW_CHARS, pieces_of
from llmops_cli.guard.rules import Rule, builtin
from llmops_cli.guard.skeleton import skeleton
from llmops_cli.guard.structure import structure_of
from llmops_cli.guard.views import (
    ARRANGED,
    JOINED,
    LEET,
    MENDED,
    NUMBERED,
    PIG_LATIN,
    View,
    views_of,
)
from llmops_cli.guard.windows import suspects_of, windows_of

DEPTH = 2
MOST_VIEWS = 64
READ_LEAST = 32_768
READ_TIMES = 2
"""Characters of decoded readings that are looked at: so many, or so many times the text's own. Each
of ten ciphers would read the whole text anew.
"""
EXCERPT_CHARS = 80
LAST = (LEET, JOINED, PIG_LATIN, MENDED)
"""Readings that lose too much for another layer below them."""
ARRANGED_MOST = 2_000
"""Characters of words in another order that are read further: of a long text it would cost much."""

SAME_WORDS = (JOINED, MENDED, ARRANGED, NUMBERED)
"""Readings of words that were read already: only a whole attack tells something new."""
REPEATING = frozenset({*SAME_WORDS, LEET, PIG_LATIN})
"""Readings in which words stand that the text itself has."""


def best_reading(text: str, plain: set[str], *, is_mentioned: bool = False) -> Scan:
    """The decoded reading with most evidence beyond the rules in `plain`.

    `is_mentioned`: the text only speaks of those, which excuses nothing that a code carries.
    """
    best = Scan(0.0)
    seen = 0
    left = max(READ_LEAST, READ_TIMES * len(text))
    queue: deque[tuple[str, tuple[str, ...], Span]] = deque()
    queue.append((text, (), (0, len(text))))
    while queue:
        here, names, where = queue.popleft()
        for view in views_of(here):
            seen += 1
            left -= len(view.text)
            path = (*names, view.name)
            span = where if names else view.span
            if view.name == LEET and not says_new_words(view.text, here):
                continue
            repeats = not REPEATING.isdisjoint(path)
            found = _read(view, path, span, plain if repeats or not is_mentioned else set())
            if found.score > best.score:
                best = found
            if len(path) < DEPTH and not _is_last(view):
                queue.append((view.text, path, span))
            if seen >= MOST_VIEWS or left <= 0:
                return best
    return best


def _is_last(view: View) -> bool:
    """Whether nothing is looked for below it."""
    if view.name == ARRANGED:
        return len(view.text) > ARRANGED_MOST
    return view.name in LAST and (view.name != JOINED or " " in view.text)


def _read(
    view: View,
    names: tuple[str, ...],
    span: Span,
    plain: set[str],
) -> Scan:
    normal = normalise(view.text)
    excerpt = view.text[:EXCERPT_CHARS]
    evidence = [
        Evidence(rule.id, rule.family, rule.weight, names, span, excerpt, rule.says_again)
        for rule in _rules_of(view, normal.text)
        if rule.id not in plain
    ]
    for item in normal.hidden:
        text = item.text[:EXCERPT_CHARS]
        evidence.append(Evidence(item.rule, HIDDEN_TEXT, ATTACK, names, span, text))
    if view.name in SAME_WORDS:
        evidence = [item for item in evidence if item.weight >= ATTACK]
    if not evidence:
        return Scan(0.0)
    score = sum(item.weight for item in evidence)
    return Scan(score + DISGUISE, tuple(evidence))


def _rules_of(view: View, text: str) -> list[Rule]:
    """The rules that hold for a decoded reading; of a long one, those of its strongest window."""
    if len(text) > WINDOW_CHARS:
        groups = suspects_of(windows_of(pieces_of(text)))
        worst = next((suspects[0] for suspects in groups if suspects), None)
        return [] if worst is None else list(worst.held)
    words = skeleton(text)
    held = list(rules_held(words))
    if view.glued or " " not in words.strip():
        held += [rule for rule in builtin().glued.matches(words) if rule not in held]
    return [*held, *structure_of(text, words), *meanings_held(text, words)]
