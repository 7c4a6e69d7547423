"""Numbers that belong to people, each by its own arithmetic: cards, accounts, telephones, ids."""

from __future__ import annotations

import re
from functools import cache
from importlib import import_module
from pathlib import Path

import msgspec

from llmops_cli.guard.context import Check, Match, Span, before, follows
from llmops_cli.runtime.yaml_text import load_yaml

IBAN_DATA = Path(__file__).with_name("data") / "iban.yaml"

ISSUERS = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})"
    r"|5[1-5]\d{14}"
    r"|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}"
    r"|3[47]\d{13}"
    r"|6(?:011|4[4-9]\d|5\d\d)\d{12,15}"
    r"|35(?:2[89]|[3-8]\d)\d{12}"
    r"|3(?:0[0-5]|09|6\d|[89]\d)\d{11}"
    r"|62\d{14,17}"
)
"""Beginnings and lengths of card numbers."""


def luhn(digits: str) -> bool:
    """ISO/IEC 7812-1, annex B."""
    total = sum(map(int, digits[::-2]))
    for digit in digits[-2::-2]:
        doubled = int(digit) * 2
        total += doubled - 9 if doubled > 9 else doubled
    return total % 10 == 0


def card(found: Match) -> Span | None:
    """A card's number."""
    digits = re.sub(r"\D", "", found[0])
    if ISSUERS.fullmatch(digits) and luhn(digits):
        return found.span()
    return None


@cache
def iban_lengths() -> dict[str, int]:
    """Characters by country."""
    return msgspec.convert(load_yaml(IBAN_DATA.read_bytes()), dict[str, int])


def iban(found: Match) -> Span | None:
    """An account's number; what follows it without a space may belong to the next word."""
    length = iban_lengths().get(found[0][:2].upper(), 0)
    taken = ""
    end = found.start()
    for position, char in enumerate(found[0]):
        if len(taken) == length:
            break
        if char != " ":
            taken += char.upper()
            end = found.start() + position + 1
    if not length or len(taken) != length or found.string[end : end + 1].isalnum():
        return None
    if not taken.isascii():
        return None
    turned = "".join(str(int(char, 36)) for char in taken[4:] + taken[:4])
    return (found.start(), end) if int(turned) % 97 == 1 else None


CALL = follows(
    r"phone|tel\b|tel[.:]|t[eé]l[eé]phone|mobile|cell|call|fax|whatsapp|ring|reach|contact|number"
    r"|handy|telefon|movil|móvil"
)
NOT_CALL = re.compile(
    r"(?:order|sku|isbn|part|model|version|build|id|invoice|case|account|serial|ref)"
    r"[^\n\w]{0,3}(?:no\.? ?)?$"
)
NORTH_AMERICAN = re.compile(r"(?:1[-. ])?\(?\d{3}\)?[-. ]{1,2}\d{3}[-. ]\d{4}")


def phone(found: Match) -> Span | None:
    """A telephone number with its country, or one in the North American form."""
    span = phone_form(found)
    if span is None:
        return None
    import phonenumbers

    text = found[0].strip()
    try:
        number = phonenumbers.parse(text, None if text.startswith("+") else "US")
    except phonenumbers.NumberParseException:
        return None
    is_likely = phonenumbers.is_valid_number(number) or (
        CALL(found) and phonenumbers.is_possible_number(number)
    )
    return span if is_likely else None


def phone_form(found: Match) -> Span | None:
    """What is written like a telephone number, whether anybody has that number or not."""
    text = found[0].strip()
    is_local = NORTH_AMERICAN.fullmatch(text) and not NOT_CALL.search(before(found))
    if not text.startswith("+") and not is_local:
        return None
    return found.start(), found.start() + len(found[0].rstrip(" .-"))


SSN_NAMED = follows(r"ssn|social security|tax ?id|itin")


def ssn(found: Match) -> Span | None:
    """A social security number of the United States, written with hyphens or named."""
    area, group, serial = found.groups()
    if area in ("000", "666") or area >= "900" or group == "00" or serial == "0000":
        return None
    if "-" in found[0] or SSN_NAMED(found):
        return found.span()
    return None


def named_ssn(found: Match) -> Span | None:
    """Nine digits, only after its name."""
    return ssn(found) if SSN_NAMED(found) else None


def stdnum(module: str, words: str = "") -> Check:
    """A number that python-stdnum's module accepts, after one of the words if there are any."""
    is_named = follows(words) if words else None

    def check(found: Match) -> Span | None:
        if is_named is not None and not is_named(found):
            return None
        return found.span() if import_module(f"stdnum.{module}").is_valid(found[0]) else None

    return check


DNI = stdnum("es.dni")
NIE = stdnum("es.nie")


def dni_or_nie(found: Match) -> Span | None:
    """A Spanish number, of citizens or of foreigners."""
    return NIE(found) if found[0][0] in "XYZ" else DNI(found)


NAMED_NUMBERS = (
    (r"aadhaar|aadhar|uidai", "in_.aadhaar"),
    (r"s[eé]curit[eé] sociale|nir\b|insee", "fr.nir"),
    (r"steuer-?id|identifikationsnummer|idnr|tin\b", "de.idnr"),
    (r"bsn|burgerservicenummer|sofi", "nl.bsn"),
    (r"\bsin\b|social insurance", "ca.sin"),
    (r"tfn|tax file", "au.tfn"),
    (r"nhs", "gb.nhs"),
    (r"pesel", "pl.pesel"),
    (r"personnummer", "se.personnummer"),
    (r"rijksregister", "be.nn"),
    (r"svnr|sozialversicherung", "at.vnr"),
    (r"ahv|avs", "ch.ssn"),
)
"""What a national number is called, and python-stdnum's module for it."""
ANY_NAME = "|".join(words for words, _ in NAMED_NUMBERS)
ANY_NAMED = follows(ANY_NAME)
NAMED_CHECKS = [stdnum(module, words) for words, module in NAMED_NUMBERS]


def named_number(found: Match) -> Span | None:
    """Numbers of nine to fifteen digits that mean something only after their name."""
    if not ANY_NAMED(found):
        return None
    for check in NAMED_CHECKS:
        span = check(found)
        if span is not None:
            return span
    return None
