"""Whether a text about attacks only quotes or recounts one.

A phrase within a sentence of prose is quoted: `an attacker may write "..." in a document`. Lines
that are an attack, each in quotation marks, are the attack: a model reads them as it reads any
line. So quotation counts where prose outweighs it in its own line, and where nothing around it asks
to carry it out.
"""

from __future__ import annotations

import re
from functools import lru_cache

from llmops_cli.guard.pieces import held_in
from llmops_cli.guard.rules import Rule, builtin
from llmops_cli.guard.skeleton import skeleton
from llmops_cli.guard.tested import is_test, is_tested, without_arguments

MENTIONS = 2
COMMENTS = ("#", "//", "*")
QUOTED = re.compile(
    r"\"[^\"\n]{4,300}\"|“[^“”\n]{4,300}”|`[^`\n]{4,300}`"
    r"|«[^«»\n]{4,300}»|„[^„“\n]{4,300}“"
    r"|'[^'\n]{12,300}'(?=\W)"
)
WITHIN_A_SENTENCE = re.compile(r"\w[,(]{0,2}\s{0,2}$")
"""What stands before a quotation that is part of a sentence; a list's, a table's or a mapping's
items begin a line, or follow a mark.
"""
LEAD_CHARS = 40
RECOUNTED = re.compile(
    r"(?<! you)(?<! must)(?<! need)(?<! have) "
    r"(?:to|that|which|who|not|never|could|may|might|can|will|would|que|zu"
    r"|from|it|they|attacker|user|by|of|while) $"
)
"""The word before a phrase that is told about, not said."""
ADDRESSED = re.compile(
    r" (?:i|we|you|your|please|kindly|now|sure|remember|task|goal|job|begin|start|proceed|continue"
    r"|go|time|free) "
)
"""Words before it that make it an order all the same: `I want the assistant to ignore ...`."""


@lru_cache(maxsize=4)
def speaks_of_attacks(text: str) -> bool:
    """Remembered, as several windows of one text may ask."""
    if is_test(text):
        return True
    return len(builtin().mention.match(skeleton(text))) >= MENTIONS


def said_of(text: str) -> list[Rule] | None:
    """The rules that hold without what is quoted or recounted.

    None if something asks to carry out what is quoted.
    """
    rest = without_quotations(text)
    words = skeleton(rest)
    if rest != text and builtin().carry_out.match(words):
        return None
    held = held_in(rest, words)
    return [rule for rule, patterns in held if not _all_recounted(patterns, words)]


def without_quotations(text: str) -> str:
    """The text without what is quoted within sentences that say more than their quotations."""
    lines = text.split("\n")
    is_code = is_tested(text)
    return "\n".join(_without_quotations(line, is_code=is_code) for line in lines)


def _without_quotations(line: str, *, is_code: bool) -> str:
    if is_code and not line.lstrip().startswith(COMMENTS):
        return without_arguments(line)
    prose = QUOTED.sub(" ", line)
    prose_words = len(prose.split())
    if prose == line or prose_words < len(line.split()) - prose_words:
        return line

    def left(found: re.Match[str]) -> str:
        before = line[max(found.start() - LEAD_CHARS, 0) : found.start()]
        return " " if WITHIN_A_SENTENCE.search(before) else found[0]

    return QUOTED.sub(left, line)


def _all_recounted(patterns: list[int], words: str) -> bool:
    """Whether every place is reported speech: what somebody is told to do, or does."""
    return bool(patterns) and all(_is_recounted(pattern, words) for pattern in patterns)


def _is_recounted(pattern: int, words: str) -> bool:
    for start, _ in builtin().rules.spans(pattern, words):
        lead = words[max(start - LEAD_CHARS, 0) : start + 1]
        if not RECOUNTED.search(lead) or ADDRESSED.search(lead):
            return False
    return True
