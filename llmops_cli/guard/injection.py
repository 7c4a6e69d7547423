"""Whether a text tries to take over, pry open or leak.

Evidence is added up over its plain form and every decoded one.
"""

from __future__ import annotations

import math
import re
from collections import deque

import msgspec

from llmops_cli.guard.invisible import SPLIT_RULE, Hidden
from llmops_cli.guard.normalise import normalise
from llmops_cli.guard.rules import Rule, builtin
from llmops_cli.guard.skeleton import lookalike_skeleton, skeleton
from llmops_cli.guard.structure import structure_of
from llmops_cli.guard.views import JOINED, LEET, MENDED, PIG_LATIN, View, views_of

Held = tuple[Rule, list[int]]
"""A rule that holds, and the numbers of its patterns that do."""


ATTACK = 1.0
DISGUISE = 0.3
"""Added where a rule holds only for what was decoded: honest text has no need of it."""
DEPTH = 2
MOST_VIEWS = 64
READ_LEAST = 32_768
READ_TIMES = 2
"""Characters of decoded readings that are looked at: so many, or so many times the text's own. Each
of ten ciphers would read the whole text anew.
"""
QUOTED = re.compile(
    r"\"[^\"\n]{4,300}\"|“[^“”\n]{4,300}”|`[^`\n]{4,300}`"
    r"|«[^«»\n]{4,300}»|„[^„“\n]{4,300}“"
    r"|'[^'\n]{12,300}'(?=\W)"
)
LAST = (LEET, JOINED, PIG_LATIN, MENDED)
"""Readings that lose too much for another layer below them."""
LONG_WORD = re.compile("[a-z]{24,200}")
WORD = re.compile(r"[^\W_](?:['`\u2018\u2019]|[^\W_])*")
PLACED_MOST = 20_000
PLACED_RULES = 1
"""Characters, and the weightiest rules: beyond them evidence has the whole text for a place."""
LONG = 12_000
STRETCH = 2_000
"""Characters."""
MORE = 0.6
LONGER = 0.15
"""Evidence that it takes beyond ATTACK where a text is long, and with each doubling."""
MENTIONS = 2
EXCERPT_CHARS = 80
LEAD_CHARS = 40
HIDDEN_TEXT = "hidden_text"
SPLIT_WEIGHT = 0.5
RECOUNTED = re.compile(
    r"(?<! you)(?<! must)(?<! need)(?<! have) "
    r"(?:to|that|which|who|not|never|could|may|might|can|will|would|que|zu"
    r"|from|it|they|attacker|user|by|of|while|then) $"
)
"""The word before a phrase that is told about, not said."""


class Evidence(msgspec.Struct, frozen=True):
    """A rule that holds.

    In which view (empty: the text itself), and where in the text as it came.
    """

    rule: str
    family: str
    weight: float
    view: tuple[str, ...]
    span: tuple[int, int]
    text: str = ""


class Scan(msgspec.Struct, frozen=True):
    """`score` 1 and more is an attack; `evidence` adds up to it."""

    score: float
    evidence: tuple[Evidence, ...] = ()

    @property
    def family(self) -> str:
        """The one with most of the evidence."""
        sums: dict[str, float] = {}
        for item in self.evidence:
            sums[item.family] = sums.get(item.family, 0) + item.weight
        return max(sums, key=lambda family: sums[family], default="")


def scan(text: str) -> Scan:
    """Linear in the text.

    One pass for words, one for rules, one for signs of a carrier, then what was carried.
    """
    normal = normalise(text)
    words = skeleton(normal.text)
    everywhere = _held(normal.text, words)
    plain = {rule.id for rule, _ in everywhere}
    held = _together(normal.text, everywhere)
    evidence = [*_plain_evidence(text, words, held), *_lookalikes(text, normal.text, words, plain)]
    score = sum(item.weight for item in evidence)
    if any(item.view for item in evidence):
        score += DISGUISE
    if score >= ATTACK and _only_mentioned(normal.text, held):
        score = ATTACK / 2
    hidden = [_of_hidden(item) for item in normal.hidden]
    best = _best_view(normal.text, plain)
    total = score + best.score + sum(item.weight for item in hidden)
    return Scan(round(total, 3), (*hidden, *evidence, *best.evidence))


def _together(text: str, held: list[Held]) -> list[Held]:
    """The rules that count; of a long text, those of the stretch with most of them.

    Weak signs count together where they stand near each other, and the longer a text is, the more
    of them it takes: in a megabyte of honest text all of them stand somewhere.
    """
    is_strong = any(rule.weight >= ATTACK for rule, _ in held)
    if len(text) <= LONG or is_strong or _weight(held) < ATTACK:
        return held
    starts = range(0, len(text), STRETCH // 2)
    stretches = [text[start : start + STRETCH] for start in starts]
    best = max((_held(each, skeleton(each)) for each in stretches), key=_weight)
    if _weight(best) >= ATTACK + MORE + LONGER * math.log2(len(text) / LONG):
        return best
    return _below_attack(best)


def _below_attack(held: list[Held]) -> list[Held]:
    """As many as are no attack together, the weightiest first."""
    kept: list[Held] = []
    for item in sorted(held, key=lambda item: -item[0].weight):
        if _weight([*kept, item]) < ATTACK:
            kept.append(item)
    return kept


def _weight(held: list[Held]) -> float:
    return sum(rule.weight for rule, _ in held)


def _held(text: str, words: str) -> list[Held]:
    """The rules that hold for the words, and for the text's structure."""
    held = list(builtin().rules.matches(words).items())
    if LONG_WORD.search(words):  # words written as one: IgnoreAllPreviousInstructions
        together = " ".join(LONG_WORD.findall(words))
        known = {rule for rule, _ in held}
        glued = builtin().glued.matches(together)
        held += [(rule, []) for rule in glued if rule not in known]
    held += [(rule, []) for rule in structure_of(text, words.split())]
    return held


def _plain_evidence(
    text: str,
    words: str,
    held: list[Held],
) -> list[Evidence]:
    """Of the text as it is; the weightiest rules with their place in it."""
    heaviest = sorted(held, key=lambda item: -item[0].weight)[:PLACED_RULES]
    spans = {rule.id: _place(text, words, patterns) for rule, patterns in heaviest}
    whole = (0, len(text))
    return [_evidence(rule, (), spans.get(rule.id, whole)) for rule, _ in held]


def _lookalikes(
    text: str,
    normal: str,
    words: str,
    plain: set[str],
) -> list[Evidence]:
    """Of rules that hold only with other scripts' letters read as Latin ones."""
    disguised = lookalike_skeleton(normal)
    if disguised is None or disguised == words:
        return []
    rules = builtin().rules.matches(disguised)
    whole = (0, len(text))
    return [_evidence(rule, ("lookalikes",), whole) for rule in rules if rule.id not in plain]


def _of_hidden(found: Hidden) -> Evidence:
    weight = SPLIT_WEIGHT if found.rule == SPLIT_RULE else ATTACK
    return Evidence(found.rule, HIDDEN_TEXT, weight, (), found.span, found.text[:EXCERPT_CHARS])


def _evidence(
    rule: Rule,
    view: tuple[str, ...],
    span: tuple[int, int],
) -> Evidence:
    return Evidence(rule.id, rule.family, rule.weight, view, span)


def _place(
    text: str,
    words: str,
    patterns: list[int],
) -> tuple[int, int]:
    """Where in the text the first of the rule's patterns stands.

    All of it where characters were dropped or changed.
    """
    whole = (0, len(text))
    if not patterns or len(text) > PLACED_MOST:
        return whole
    span = next(builtin().rules.spans(patterns[0], words), None)
    if span is None:
        return whole
    places = [match.span() for match in WORD.finditer(text)]
    if len(places) != words.count(" ") - 1:
        return whole
    start, end = span
    first = max(words.count(" ", 0, start + 1), 1)
    last = min(max(words.count(" ", 0, end - 1), 1), len(places))
    return places[first - 1][0], places[last - 1][1]


def _only_mentioned(text: str, held: list[Held]) -> bool:
    """Whether a text about attacks only quotes or recounts what would count.

    Such as `instructing it to ignore ...`.
    """
    words = skeleton(text)
    if len(builtin().mention.match(words)) < MENTIONS:
        return False
    rest = QUOTED.sub(" ", text)
    if rest != text:
        words = skeleton(rest)
        held = _held(rest, words)
    said = [rule.weight for rule, patterns in held if not _all_recounted(patterns, words)]
    return sum(said) < ATTACK


def _all_recounted(patterns: list[int], words: str) -> bool:
    """Whether every place is reported speech: what somebody is told to do, or does."""
    return all(_is_recounted(pattern, words) for pattern in patterns)


def _is_recounted(pattern: int, words: str) -> bool:
    for start, _ in builtin().rules.spans(pattern, words):
        lead = words[max(start - LEAD_CHARS, 0) : start + 1]
        if not RECOUNTED.search(lead):
            return False
    return True


def _best_view(text: str, plain: set[str]) -> Scan:
    """The decoded reading with most evidence that the text itself does not show."""
    best = Scan(0.0)
    seen = 0
    left = max(READ_LEAST, READ_TIMES * len(text))
    queue: deque[tuple[str, tuple[str, ...], tuple[int, int]]] = deque()
    queue.append((text, (), (0, len(text))))
    while queue:
        here, names, where = queue.popleft()
        for view in views_of(here):
            seen += 1
            left -= len(view.text)
            path = (*names, view.name)
            span = where if names else view.span
            found = _read(view, path, span, plain)
            if found.score > best.score:
                best = found
            if len(path) < DEPTH and view.name not in LAST:
                queue.append((view.text, path, span))
            if seen >= MOST_VIEWS or left <= 0:
                return best
    return best


def _read(
    view: View,
    names: tuple[str, ...],
    span: tuple[int, int],
    plain: set[str],
) -> Scan:
    """The evidence of one decoded reading that the text itself does not show."""
    normal = normalise(view.text)
    excerpt = view.text[:EXCERPT_CHARS]
    evidence = [
        Evidence(rule.id, rule.family, rule.weight, names, span, excerpt)
        for rule in _rules_near(view, normal.text)
        if rule.id not in plain
    ]
    for item in normal.hidden:
        text = item.text[:EXCERPT_CHARS]
        evidence.append(Evidence(item.rule, HIDDEN_TEXT, ATTACK, names, span, text))
    if view.name in (
        JOINED,
        MENDED,
    ):  # the same words again: only a whole attack tells something new
        evidence = [item for item in evidence if item.weight >= ATTACK]
    if not evidence:
        return Scan(0.0)
    score = sum(item.weight for item in evidence) + DISGUISE
    return Scan(score, tuple(evidence))


def _rules_near(view: View, text: str) -> list[Rule]:
    """The rules that count for a decoded reading, as for a text."""
    held: list[Held] = [(rule, []) for rule in _rules_of(view, text)]
    return [rule for rule, _ in _together(text, held)]


def _rules_of(view: View, text: str) -> list[Rule]:
    """The rules that hold for a decoded reading."""
    words = skeleton(text)
    held = list(builtin().rules.matches(words))
    if view.glued or " " not in words.strip():
        held += [rule for rule in builtin().glued.matches(words) if rule not in held]
    return held + structure_of(text, words.split())
