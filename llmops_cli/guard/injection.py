"""Whether a text tries to take over, pry open or leak.

Evidence is added up over a window of bounded size, in its plain form and every decoded one.
"""

from __future__ import annotations

import msgspec

from llmops_cli.guard.evidence import ATTACK, DISGUISE, HIDDEN_TEXT, Evidence, Scan, Span
from llmops_cli.guard.invisible import SPLIT_RULE, Hidden
from llmops_cli.guard.normalise import normalise
from llmops_cli.guard.pieces import Piece, pieces_of
from llmops_cli.guard.places import Origin, place_of
from llmops_cli.guard.quotation import said_around, said_of, speaks_of_attacks
from llmops_cli.guard.readings import EXCERPT_CHARS, best_reading
from llmops_cli.guard.rules import Rule
from llmops_cli.guard.windows import (
    NO_WINDOW,
    Window,
    is_attack,
    suspects_of,
    whole_of,
    windows_of,
)

__all__ = ["ATTACK", "Evidence", "Scan", "scan"]

PLACED_RULES = 4
"""The weightiest of an attack's rules are told to the word, others to their piece of the text."""
SPLIT_WEIGHT = 0.5
SPEAKS_OF_CODES = "role.cipher"
MENTIONED = ATTACK / 2
"""What an attack that is only quoted or recounted amounts to."""
NOTHING = Scan(0.0)
LINE_CHARS = 300
"""To the ends of its lines, and so far at most, a window is read for quotations."""


def scan(text: str, *, is_part: bool = False) -> Scan:
    """Linear in the text.

    One pass for words, one for rules, one for signs of a carrier, then what was carried.
    `is_part`: of something longer, as messages of a conversation are.
    """
    normal = normalise(text)
    pieces = pieces_of(normal.text)
    is_message = len(pieces) == 1 and not is_part
    worst = NO_WINDOW
    score = 0.0
    if any(piece.held or piece.disguised for piece in pieces):
        windows = [whole_of(pieces[0])] if is_message else windows_of(pieces, is_part=is_part)
        worst, score = _verdict(normal.text, windows)
    plain = {rule.id for piece in pieces for rule, _ in piece.held}
    best = best_reading(normal.text, plain, is_mentioned=score == MENTIONED)
    hidden = [_of_hidden(item) for item in normal.hidden]
    found = [*_of_window(worst), *best.evidence]
    if not found and not hidden:
        return NOTHING
    if found:
        origin = Origin(text, normal.text)
        found = [msgspec.structs.replace(item, span=origin.span(item.span)) for item in found]
    scores = [score, best.score, sum(item.weight for item in hidden)]
    total = max(scores)
    if is_message:
        total = sum(scores) - _counted_twice(worst, best, hidden)
    return Scan(round(total, 3), (*hidden, *found))


def _counted_twice(
    window: Window,
    best: Scan,
    hidden: list[Evidence],
) -> float:
    """What a text's clothes weigh beyond the heaviest of them.

    That it speaks of a code, is in one, and has its words split is one fact; a code within a code
    is another.
    """
    clothes = [rule.weight for rule in window.held if rule.id == SPEAKS_OF_CODES]
    is_coded = any(len(item.view) == 1 for item in best.evidence)
    clothes += [DISGUISE for seen in (window.disguised, is_coded) if seen]
    clothes += [item.weight for item in hidden if item.rule == SPLIT_RULE]
    return sum(clothes) - max(clothes, default=0.0)


def _verdict(text: str, windows: list[Window]) -> tuple[Window, float]:
    """The window with most evidence, of those that do not only speak of attacks, and how much."""
    mentioned: Window | None = None
    for suspects in suspects_of(windows):
        for window in suspects:
            if not _is_only_mentioned(text, window):
                return window, window.score
            mentioned = mentioned or window
    if mentioned is not None:
        return mentioned, MENTIONED
    strongest = max(windows, key=lambda window: window.score)
    return strongest, strongest.score


def _is_only_mentioned(text: str, window: Window) -> bool:
    if window.disguised:
        return False
    start, end = window.span
    if window.is_part:
        start = max(text.rfind("\n", 0, start) + 1, start - LINE_CHARS)
        line_end = text.find("\n", end)
        end = min(end + LINE_CHARS, len(text) if line_end < 0 else line_end)
    around = said_around(text[start:end])
    if around is not None and not is_attack(around, window):
        return True
    if not speaks_of_attacks(text):
        return False
    said = said_of(text[start:end])
    return said is not None and not is_attack(said, window)


def _of_window(window: Window) -> list[Evidence]:
    """Its rules, the weightiest with their place in the text."""
    placed = sorted(window.held, key=lambda rule: -rule.weight)[:PLACED_RULES]
    found = []
    for rule, piece in window.held.items():
        span = _span_of(rule, piece) if rule in placed else piece.span
        found.append(_evidence(rule, window, (), span))
    for rule, piece in window.disguised.items():
        found.append(_evidence(rule, window, ("lookalikes",), piece.span))
    return found


def _span_of(rule: Rule, piece: Piece) -> Span:
    patterns = dict(piece.held)[rule]
    start, end = place_of(piece.text, piece.words, patterns)
    return piece.start + start, piece.start + end


def _of_hidden(found: Hidden) -> Evidence:
    weight = SPLIT_WEIGHT if found.rule == SPLIT_RULE else ATTACK
    return Evidence(found.rule, HIDDEN_TEXT, weight, (), found.span, found.text[:EXCERPT_CHARS])


def _evidence(
    rule: Rule,
    window: Window,
    view: tuple[str, ...],
    span: Span,
) -> Evidence:
    weight = round(window.weights[rule], 3)
    return Evidence(
        rule.id,
        rule.family,
        weight,
        view,
        span,
        says_again=rule.says_again,
        is_strong=rule.weight >= ATTACK,
    )
