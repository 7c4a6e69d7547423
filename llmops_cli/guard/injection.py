"""Does a text try to take over, pry open or leak? Evidence is added up over its plain form and
every decoded one.
"""

from __future__ import annotations

import re

import msgspec

from llmops_cli.guard.normalise import normalise
from llmops_cli.guard.rules import Rule, RuleSet, builtin
from llmops_cli.guard.skeleton import lookalike_skeleton, skeleton
from llmops_cli.guard.structure import structure_of
from llmops_cli.guard.views import View, views_of

ATTACK = 1.0
DISGUISE = 0.3
"""Added where a rule holds only for what was decoded: honest text has no need of it."""
DEPTH = 2
MOST_VIEWS = 64
QUOTED = re.compile(
    r"\"[^\"\n]{4,300}\"|“[^”\n]{4,300}”|`[^`\n]{4,300}`|«[^»\n]{4,300}»|„[^“\n]{4,300}“|'[^'\n]{12,300}'(?=\W)"
)
LAST = ("leet", "joined", "pig latin")
"""Readings that lose too much for another layer below them."""
LONG_WORD = re.compile("[a-z]{24,200}")
WORD = re.compile(r"[^\W_](?:['`\u2018\u2019]|[^\W_])*")
PLACED_MOST = 20_000
PLACED_RULES = 1
"""Characters, and the weightiest rules: beyond them evidence has the whole text for a place."""
MENTIONS = 2
RECOUNTED = re.compile(
    r"(?<! you)(?<! must)(?<! need)(?<! have) (?:to|that|which|who|not|never|could|may|might|can|will|would|que|zu|"
    r"from|it|they|attacker|user|by|of|while|then) $"
)
"""The word before a phrase that is told about, not said."""


class Evidence(msgspec.Struct, frozen=True):
    """A rule that holds, in which view (empty: the text itself), and where in the text as it
    came.
    """

    rule: str
    family: str
    weight: float
    view: tuple[str, ...]
    span: tuple[int, int]
    text: str = ""


class Scan(msgspec.Struct, frozen=True):
    """`score` 1 and more is an attack; `evidence` adds up to it, the strongest reading of the text
    first.
    """

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
    """Linear in the text: one pass for words, one for rules, one for signs of a carrier, then what
    was carried.
    """
    normal = normalise(text)
    hidden = [
        Evidence(
            h.rule,
            "hidden_text",
            0.5 if h.rule == "split-words" else ATTACK,
            (),
            h.span,
            h.text[:80],
        )
        for h in normal.hidden
    ]
    words = skeleton(normal.text)
    held = _held(normal.text, words)
    plain = {rule.id for rule, _ in held}
    placed = sorted(held, key=lambda item: -item[0].weight)[:PLACED_RULES]
    spans = {rule.id: _place(text, words, found) for rule, found in placed}
    evidence = [_evidence(rule, (), spans.get(rule.id, (0, len(text)))) for rule, _ in held]
    disguised = lookalike_skeleton(normal.text)
    if disguised is not None and disguised != words:
        more = [rule for rule in builtin()[0].matches(disguised) if rule.id not in plain]
        evidence += [_evidence(rule, ("lookalikes",), (0, len(text))) for rule in more]
    score = sum(item.weight for item in evidence) + (
        DISGUISE if any(item.view for item in evidence) else 0
    )
    if score >= ATTACK and _only_mentioned(normal.text, held):
        score = ATTACK / 2
    best = _best_view(normal.text, plain)
    return Scan(
        round(score + best.score + sum(item.weight for item in hidden), 3),
        (*hidden, *evidence, *best.evidence),
    )


def _held(text: str, words: str) -> list[tuple[Rule, list[int]]]:
    held = list(builtin()[0].matches(words).items())
    if LONG_WORD.search(words):  # words written as one: IgnoreAllPreviousInstructions
        together = " ".join(LONG_WORD.findall(words))
        held += [
            (rule, [])
            for rule in builtin()[1].matches(together)
            if rule not in {known for known, _ in held}
        ]
    return held + [(rule, []) for rule in structure_of(text, words.split())]


def _evidence(rule: Rule, view: tuple[str, ...], span: tuple[int, int]) -> Evidence:
    return Evidence(rule.id, rule.family, rule.weight, view, span)


def _place(text: str, words: str, patterns: list[int]) -> tuple[int, int]:
    """Where in the text the first of the rule's patterns stands; all of it where characters were
    dropped or changed.
    """
    whole = (0, len(text))
    if not patterns:
        return whole
    span = next(builtin()[0].spans(patterns[0], words), None)
    places = (
        [match.span() for match in WORD.finditer(text)] if span and len(text) <= PLACED_MOST else []
    )
    if span is None or len(places) != words.count(" ") - 1:
        return whole
    start, end = span
    first = words.count(" ", 0, start + 1)
    last = words.count(" ", 0, end - 1)
    return places[max(first, 1) - 1][0], places[min(max(last, 1), len(places)) - 1][1]


def _only_mentioned(text: str, held: list[tuple[Rule, list[int]]]) -> bool:
    """Whether a text about attacks only quotes or recounts what would count: `instructing it to
    ignore ...`.
    """
    rules, _, mention, _ = builtin()
    words = skeleton(text)
    if len(mention.Match(words.encode()) or ()) < MENTIONS:
        return False
    rest = QUOTED.sub(" ", text)
    if rest != text:
        words = skeleton(rest)
        held = _held(rest, words)
    return (
        sum(
            rule.weight
            for rule, found in held
            if not all(_recounted(rules, index, words) for index in found)
        )
        < ATTACK
    )


def _recounted(rules: RuleSet, index: int, words: str) -> bool:
    """Whether every place is reported speech: what somebody is told to do, or does."""
    return all(
        RECOUNTED.search(words[max(start - 40, 0) : start + 1])
        for start, _ in rules.spans(index, words)
    )


def _best_view(text: str, plain: set[str]) -> Scan:
    """The decoded reading with most evidence that the text itself does not show."""
    best = Scan(0.0)
    seen = 0
    queue: list[tuple[str, tuple[str, ...], tuple[int, int]]] = [(text, (), (0, len(text)))]
    while queue and seen < MOST_VIEWS:
        here, names, where = queue.pop(0)
        for view in views_of(here):
            seen += 1
            span = view.span if not names else where
            found = _read(view, (*names, view.name), span, plain)
            if found.score > best.score:
                best = found
            if len(names) + 1 < DEPTH and view.name not in LAST:
                queue.append((view.text, (*names, view.name), span))
            if seen >= MOST_VIEWS:
                break
    return best


def _read(view: View, names: tuple[str, ...], span: tuple[int, int], plain: set[str]) -> Scan:
    normal = normalise(view.text)
    words = skeleton(normal.text)
    rules, glued, _, _ = builtin()
    held = list(rules.matches(words))
    if view.glued or " " not in words.strip():
        held += [rule for rule in glued.matches(words) if rule not in held]
    held += structure_of(normal.text, words.split())
    evidence = [
        Evidence(r.id, r.family, r.weight, names, span, view.text[:80])
        for r in held
        if r.id not in plain
    ]
    evidence += [
        Evidence(h.rule, "hidden_text", ATTACK, names, span, h.text[:80]) for h in normal.hidden
    ]
    if view.name == "joined":  # the same words again: only a whole attack tells something new
        evidence = [item for item in evidence if item.weight >= ATTACK]
    if not evidence:
        return Scan(0.0)
    return Scan(sum(item.weight for item in evidence) + DISGUISE, tuple(evidence))
