"""Personal data and secrets in a text: where they are, and the text without them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from llmops_cli.guard.context import Match, Span
from llmops_cli.guard.credentials import PASSWORD
from llmops_cli.guard.escapes import Unescaped, unescaped
from llmops_cli.guard.plain_signs import plain_signs
from llmops_cli.guard.recognisers import ASSIGNED, Recogniser, recognisers

KINDS = (
    "email",
    "phone",
    "card",
    "iban",
    "ssn",
    "national_id",
    "ip",
    "mac",
    "wallet",
    "secret",
    "password",
    "jwt",
    "private_key",
)
SECRETS = ("secret", "password", "jwt", "private_key")
CLOSELY = 128
"""Candidates of one recogniser in a text that are looked at closely; of more, the form decides."""


class Entity(msgspec.Struct, frozen=True):
    """What was found, by which recogniser, and where."""

    kind: str
    rule: str
    span: Span


def find(text: str) -> list[Entity]:
    """Everything personal or secret, in the order of the text, without overlaps.

    As it stands, and as its escapes are meant: of findings that overlap a secret first, then the
    longest, but none before others that begins within an escape: its last letter is of no word.
    """
    text = plain_signs(text)
    found = _found(text)
    meant = unescaped(text)
    if meant is not None:
        read = [
            Entity(each.kind, each.rule, meant.span_in_source(each.span))
            for each in _found(meant.text)
        ]
        found = _apart(found + read, meant, len(text))
    found.sort(key=_span)
    return found


def _apart(found: Sequence[Entity], meant: Unescaped, length: int) -> list[Entity]:
    """Without overlaps."""

    def order(entity: Entity) -> tuple[bool, bool, int]:
        start, end = entity.span
        return meant.is_within(start), entity.kind not in SECRETS, start - end

    kept = []
    taken = bytearray(length)
    for entity in sorted(found, key=order):
        start, end = entity.span
        if taken.find(1, start, end) < 0:
            taken[start:end] = b"\1" * (end - start)
            kept.append(entity)
    return kept


def _found(text: str) -> list[Entity]:
    """In one reading, without overlaps."""
    signs, known = recognisers()
    found: list[Entity] = []
    taken = bytearray(len(text))
    for index in signs.match(text):
        recogniser = known[index]
        for number, match in enumerate(recogniser.pattern.finditer(text)):
            check = recogniser.check if number < CLOSELY else recogniser.quick_check
            span = check(match)
            if span is None or taken.find(1, *span) >= 0:
                continue
            start, end = span
            taken[start:end] = b"\1" * (end - start)
            found.append(Entity(_kind(recogniser, match), recogniser.rule, span))
    return found


def _span(entity: Entity) -> Span:
    return entity.span


def _kind(recogniser: Recogniser, match: Match) -> str:
    if recogniser.kind != ASSIGNED:
        return recogniser.kind
    return "password" if PASSWORD.search(match["key"]) else "secret"


def redact(text: str, entities: Sequence[Entity]) -> str:
    """The text with each entity replaced by [KIND]."""
    parts = []
    end = 0
    for entity in entities:
        parts.append(text[end : entity.span[0]])
        parts.append(f"[{entity.kind.upper()}]")
        end = entity.span[1]
    parts.append(text[end:])
    return "".join(parts)
