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
    r"|'[^'\n]{12,300}'(?=\W|\Z)"
)
WITHIN_A_SENTENCE = re.compile(r"\w[,(]{0,2}\s{0,2}$")
"""What stands before a quotation that is part of a sentence; a list's, a table's or a mapping's
items begin a line, or follow a mark.
"""
LEAD_CHARS = 40
TAKEN_UP = re.compile(
    r" (?:do|does|obey|follow|comply|agrees?|ahead|act|right|accordingly|likewise|so|respond"
    r"|reply|proceed|now|grant|allow|fulfill?|honou?r|carry|perform|execute|run|apply|also|too"
    r"|must|let|want|wish(?:es)?|you|your|yours|task|await|wait|begin|start|assistant|ai"
    r"|mach\S*|tu|befolg\S*|bitte|fais|haz|hazlo|hagas) "
)
"""Words around a quotation that may take it up: `I agree with him, go ahead`."""
NAMED = re.compile(r" (?:injections?|jailbreaks?|attacks?|blocked|detected) ")
OVERRIDES = frozenset(
    [
        *("hijack.ignore-previous", "hijack.ignore-above", "hijack.ignore-soft"),
        *("meaning.annulled", "meaning.void", "meaning.earlier-void"),
    ]
)
"""That by themselves ask for nothing."""
OVERRIDE_WORDS = 6
OVERRIDES_MOST = 3
QUOTATIONS_MOST = 40
"""A text with more is not looked at for them."""
SAID_BY = re.compile(
    r"\b(?!(?:i|we|you|ill|please|and|then|now)\b)[\w'-]{2,}"
    r" (?:just |once |then |also |even |has )?"
    r"(?:wrote|written|writes|typed|types|said|says|shouted|yelled|told|asked|tried|posted|texted"
    r"|entered|pasted|whispered|ordered|answered|replied|schrieb|sagte|escribió|dijo|a écrit|a dit"
    r"|scrisse|disse|escreveu|написал|сказал)(?: (?:\w+ ){0,3}\w+)?[,:]?\s{0,2}$",
    re.IGNORECASE,
)
"""Before a quotation: somebody said it, and nobody says it now."""
SAID_CHARS = 60
SAID_LEAST = 8
"""Words that a text has besides what somebody said: by itself it is an order in quotation marks."""
AROUND_LEAST = 2
"""Words beside a quotation in its line."""
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
    if is_test(text) or is_tested(text):
        return True
    return len(builtin().mention.match(skeleton(text))) >= MENTIONS


def without_overrides(text: str) -> str | None:
    """The text without attacks that it quotes from somebody, or bare, as logs and tables do.

    None if it quotes none or more than a few, if one that nobody said goes on to ask for something,
    or no attack is spoken of.
    """
    quoted = [each[0] for each in QUOTED.finditer(text)]
    if len(quoted) > QUOTATIONS_MOST:
        return None
    meant = [each for each in quoted if held_in(each, skeleton(each))]
    if not 0 < len(meant) <= OVERRIDES_MOST:
        return None
    is_said = all(_is_said(each, text) for each in meant)
    if not is_said and not all(_is_bare_override(each, text) for each in meant):
        return None
    rest = QUOTED.sub(lambda found: " " if found[0] in meant else found[0], text)
    words = skeleton(rest)
    if is_said and len(words.split()) < SAID_LEAST:
        return None
    is_told = is_said or builtin().mention.match(words) or NAMED.search(words)
    is_taken_up = builtin().carry_out.match(words) or TAKEN_UP.search(words)
    return rest if is_told and not is_taken_up else None


def _is_said(quotation: str, text: str) -> bool:
    """Whether somebody is told of who said so, wherever it stands."""
    places = [found.start() for found in re.finditer(re.escape(quotation), text)]
    return all(SAID_BY.search(text, max(place - SAID_CHARS, 0), place) for place in places)


def _is_bare_override(quotation: str, text: str) -> bool:
    words = skeleton(quotation)
    if len(words.split()) > OVERRIDE_WORDS:
        return False
    if not all(rule.id in OVERRIDES for rule, _ in held_in(quotation, words)):
        return False
    return all(_is_within(line, quotation) for line in text.split("\n") if quotation in line)


def _is_within(line: str, quotation: str) -> bool:
    """Whether the line says something besides: a reader takes one by itself for an order."""
    return len(skeleton(line.replace(quotation, " ")).split()) >= AROUND_LEAST


def said_around(text: str) -> list[Rule] | None:
    """The rules that hold without its bare overrides; None if it has none, or takes them up."""
    rest = without_overrides(text)
    return None if rest is None else [rule for rule, _ in held_in(rest, skeleton(rest))]


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
