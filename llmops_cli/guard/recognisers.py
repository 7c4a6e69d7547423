"""Recognisers of personal data and secrets, from data/personal.yaml.

A recogniser's pattern finds what might be; its check says which part of that is, or that none is.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import msgspec

from llmops_cli.guard import addresses, credentials, id_numbers
from llmops_cli.guard.automata import PatternSet
from llmops_cli.guard.context import Check, after, whole
from llmops_cli.runtime.yaml_text import load_yaml

DATA = Path(__file__).with_name("data") / "personal.yaml"
TOGETHER = 4
LOOK_AROUND = re.compile(r"\(\?<?[!=][^)]*\)")
NOT_AFTER = re.compile(r"\(\?<!(?:\[((?:[^\]\\]|\\.)*)\]|(\\w))\)")
"""Look-behind for a character or a class of them."""
KEYS = "<KEYS>"
NAMED = "<NAMED>"
NUMBER = "<NUMBER>"
MARK = r"[\u0300-\u036f\u0900-\u0dff\u0e00-\u0eff]"
LETTERS = {"<LETTER>": rf"(?:\w|{MARK})", "<MARK>": MARK}
"""Vowels of Indian scripts are marks, which are no letters to a pattern."""
ASSIGNED = "assigned"
"""Kind of what is a password or another secret, as its name says."""

CHECKS: dict[str, Check] = {
    "whole": whole,
    "email": addresses.email,
    "ip": addresses.ip,
    "phone": id_numbers.phone,
    "card": id_numbers.card,
    "iban": id_numbers.iban,
    "ssn": id_numbers.ssn,
    "named ssn": id_numbers.named_ssn,
    "named number": id_numbers.named_number,
    "dni or nie": id_numbers.dni_or_nie,
    "bitcoin": id_numbers.stdnum("bitcoin"),
    "codice fiscale": id_numbers.stdnum("it.codicefiscale"),
    "cpf": id_numbers.stdnum("br.cpf"),
    "national insurance": after(r"nino|national insurance|\bni\b"),
    "passport": after(
        r"passport|reisepass|passeport|pasaporte|passaporto|paspoort",
        r"(?=.*\d.*\d)[A-Z0-9]+",
    ),
    "assigned": credentials.assigned,
    "jwt": credentials.jwt,
    "mixed": credentials.mixed,
    "url password": credentials.url_password,
}

QUICK_CHECKS: dict[str, Check] = {"phone": id_numbers.phone_form, "bitcoin": whole}
"""In place of those that take long, for a text with hundreds of candidates."""


class Recogniser(msgspec.Struct, frozen=True):
    """`sign` (RE2) tells in one scan whether it is worth looking; the first of a place wins."""

    kind: str
    rule: str
    pattern: re.Pattern[str]
    check: Check
    quick_check: Check
    sign: str


class _RecogniserEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    kind: str
    rule: str
    pattern: str = ""
    sign: str = ""
    check: str = "whole"


class _PersonalFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    named: list[str]
    keys: dict[str, str]
    key_marks: list[str]
    recognisers: list[_RecogniserEntry]


@cache
def recognisers() -> tuple[PatternSet, tuple[Recogniser, ...]]:
    """(the signs of all, all)."""
    found = tuple(_read())
    signs = PatternSet([recogniser.sign for recogniser in found], together=TOGETHER)
    return signs, found


class KeyRecognisers(NamedTuple):
    """Of providers' keys alone. `may_hold`: looks for what every key has; takes a microsecond."""

    may_hold: Callable[[str], bool]
    signs: PatternSet
    known: tuple[Recogniser, ...]


@cache
def key_recognisers() -> KeyRecognisers:
    file = _file()
    known = tuple(_of_key(name, form) for name, form in file.keys.items())
    signs = PatternSet([recogniser.sign for recogniser in known], together=TOGETHER)
    marks = PatternSet(["|".join(file.key_marks)], together=1)
    return KeyRecognisers(marks.has_any, signs, known)


def key_forms() -> list[str]:
    """Names of them."""
    return list(_file().keys)


@cache
def _file() -> _PersonalFile:
    return msgspec.convert(load_yaml(DATA.read_bytes()), _PersonalFile)


def _read() -> list[Recogniser]:
    file = _file()
    named = "|".join(file.named)
    found = []
    for entry in file.recognisers:
        if entry.rule == KEYS:
            found += [_of_key(name, form) for name, form in file.keys.items()]
        else:
            found.append(_of(entry, named))
    return found


def _of(entry: _RecogniserEntry, named: str) -> Recogniser:
    pattern = entry.pattern.replace(NAMED, named)
    for name, form in LETTERS.items():
        pattern = pattern.replace(name, form)
    sign = entry.sign.replace(NAMED, named).replace(NUMBER, id_numbers.ANY_NAME)
    check = CHECKS[entry.check]
    return Recogniser(
        kind=entry.kind,
        rule=entry.rule,
        pattern=re.compile(pattern),
        check=check,
        quick_check=QUICK_CHECKS.get(entry.check, check),
        sign=sign or _sign_of(pattern),
    )


def _of_key(name: str, form: str) -> Recogniser:
    pattern = rf"(?<![A-Za-z0-9_-])(?:{form})(?![A-Za-z0-9_-])"
    return Recogniser(
        kind="secret",
        rule=name,
        pattern=re.compile(pattern, re.ASCII),  # beside letters of other scripts too
        check=credentials.mixed,
        quick_check=credentials.mixed,
        sign=_sign_of(pattern),
    )


def _sign_of(pattern: str) -> str:
    """Without look-around, but only where a word begins.

    That keeps an automaton small where a text is one long word.
    """
    beginning = NOT_AFTER.sub(_begins, pattern)
    return LOOK_AROUND.sub("", beginning)


def _begins(found: re.Match[str]) -> str:
    return f"(?:^|[^{found[1] or found[2]}])"
