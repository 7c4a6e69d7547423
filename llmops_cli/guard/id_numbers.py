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


GROUPS = frozenset(["4-4-4-4", "4-6-5", "4-6-4", "4-4-4-4-3", "4-4-4-1", "6-13", "8-8"])
"""How cards are printed: with wide gaps only so."""
REPEATED = re.compile(r"(\d{1,4})\1+")
TEST_CARD = re.compile(r"\b(?:test|sandbox|dummy|fake|sample|example)(?:ing|s)?\W[^\n.]{0,24}$")


def card(found: Match) -> Span | None:
    """A card's number, not one that stands for any: 4242 4242 4242 4242."""
    digits = re.sub(r"\D", "", found[0])
    if not ISSUERS.fullmatch(digits) or not luhn(digits) or REPEATED.fullmatch(digits):
        return None
    if re.search(r"[ .-]{2}", found[0]):
        groups = "-".join(str(len(group)) for group in re.findall(r"\d+", found[0]))
        if groups not in GROUPS:
            return None
    return None if TEST_CARD.search(before(found)) else found.span()


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
        if char not in " .-":
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
    r"[^\n\w]{0,3}(?:no\.?|number|nr\.?|#)?[^\n\w]{0,3}$"
)
NORTH_AMERICAN = re.compile(r"(?:1[-. ])?\(?\d{3}\)?[-. ]{1,2}\d{3}[-. ]\d{4}")


NATIONAL_CALL = follows(
    r"phone|\btel\b|tel[.:]|t[eé]l[eé]phone|mobile|\bcell\b|whatsapp|\bfax\b|handy|telefon"
    r"|t[eé]l[eé]fono|m[oó]vil|celular|cellulare|telefone|telefoon|portable|тел[.:]|телефон"
    r"|电话|手机|電話|携帯|전화|휴대폰|फ़ोन|फोन|هاتف"
)
COUNTRIES = ("DE", "GB", "FR", "ES", "IT", "JP", "CN", "IN", "BR", "MX", "KR", "RU", "PL", "TR")
COUNTRIES_TOO = ("NL", "AU", "AT", "CH", "BE", "SE", "PT", "ID", "ZA", "UA")
FICTION = re.compile(r"(?:\+?1)?(?:\d{3})?55501\d\d")
"""North American numbers that nobody has."""
FEWEST_DIGITS = 7


def phone(found: Match) -> Span | None:
    """A telephone number: with its country, in the North American form, or named as one."""
    span = phone_form(found)
    if span is None:
        return None
    text = found[0].strip()
    if _is_national(text):
        return span if _is_somewhere(text) else None
    return span if _is_likely(found, text) else None


def _is_likely(found: Match, text: str) -> bool:
    import phonenumbers

    try:
        number = phonenumbers.parse(text, None if text.startswith("+") else "US")
    except phonenumbers.NumberParseException:
        return False
    if phonenumbers.is_valid_number(number):
        return True
    return CALL(found) and phonenumbers.is_possible_number(number)


def _is_somewhere(text: str) -> bool:
    """Whether one of the big countries has that number."""
    import phonenumbers

    for country in (*COUNTRIES, *COUNTRIES_TOO):
        try:
            number = phonenumbers.parse(text, country)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_valid_number(number):
            return True
    return False


def _is_national(text: str) -> bool:
    return not text.startswith("+") and NORTH_AMERICAN.fullmatch(text) is None


def phone_form(found: Match) -> Span | None:
    """What is written like a telephone number, whether anybody has that number or not."""
    text = found[0].strip()
    digits = re.sub(r"[^\d+]", "", text)
    if FICTION.fullmatch(digits):
        return None
    if not text.startswith("+"):
        if NOT_CALL.search(before(found)):
            return None
        if _is_national(text) and not (NATIONAL_CALL(found) and len(digits) >= FEWEST_DIGITS):
            return None
    return found.start(), found.start() + len(found[0].rstrip(" .-"))


SSN_NAMED = follows(r"ssn|social security|tax ?id|itin")
SSN_SHOWN = re.compile(
    r"\b(?:example|sample|test|fake|dummy|such as|like|format|e\.?g\.?)\W[^\n.]{0,24}$"
)
SSN_NOBODYS = frozenset(["078051120", "219099999", "111111111", "222222222", "333333333"])
"""Once printed in advertisements, or one digit only."""
SSN_WRITTEN = re.compile(r"\d{3}-\d\d-\d{4}")
SSN_COUNTED = "123456789"


def ssn(found: Match) -> Span | None:
    """A social security number of the United States, written with hyphens or named."""
    area, group, serial = found.groups()
    if area in ("000", "666") or area >= "900" or group == "00" or serial == "0000":
        return None
    digits = area + group + serial
    is_named = SSN_NAMED(found)
    is_shown = digits == SSN_COUNTED and (not is_named or SSN_SHOWN.search(before(found)))
    if digits in SSN_NOBODYS or is_shown:
        return None
    return found.span() if is_named or SSN_WRITTEN.fullmatch(found[0]) else None


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
