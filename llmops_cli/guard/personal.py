"""Personal data and secrets in a text: where they are, and the text without them."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Sequence

import msgspec

from llmops_cli.guard.context import Match, Span
from llmops_cli.guard.credentials import PASSWORD
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
FULL_WIDTH = {code + 0xFEE0: code for code in range(0x21, 0x7F)}
"""One character for one, so that places stay."""


class Entity(msgspec.Struct, frozen=True):
    """What was found, by which recogniser, and where."""

    kind: str
    rule: str
    span: Span


def find(text: str) -> list[Entity]:
    """Everything personal or secret, in the order of the text, without overlaps."""
    signs, known = recognisers()
    if not text.isascii():
        text = text.translate(FULL_WIDTH)
    found: list[Entity] = []
    for index in sorted(signs.Match(text) or ()):
        recogniser = known[index]
        for match in recogniser.pattern.finditer(text):
            span = recogniser.check(match)
            if span is None:
                continue
            place = bisect(found, span, key=_span)
            if not _overlaps(found, place, span):
                entity = Entity(_kind(recogniser, match), recogniser.rule, span)
                found.insert(place, entity)
    return found


def _span(entity: Entity) -> Span:
    return entity.span


def _overlaps(
    found: Sequence[Entity],
    place: int,
    span: Span,
) -> bool:
    """Whether a span that would stand at that place runs into its neighbours."""
    if place and found[place - 1].span[1] > span[0]:
        return True
    return place < len(found) and found[place].span[0] < span[1]


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
