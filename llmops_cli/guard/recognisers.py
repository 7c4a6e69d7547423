"""Recognisers of personal data and secrets, from data/personal.yaml.

A recogniser's pattern finds what might be; its check says which part of that is, or that none is.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import msgspec
import re2

from llmops_cli.guard import addresses, credentials, id_numbers
from llmops_cli.guard.context import Check, after, whole
from llmops_cli.runtime.yaml_text import load_yaml

DATA = Path(__file__).with_name("data") / "personal.yaml"
MEMORY_BYTES = 64 << 20
LOOK_AROUND = re.compile(r"\(\?<?[!=][^)]*\)")
KEYS = "<KEYS>"
NAMED = "<NAMED>"
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


class Recogniser(msgspec.Struct, frozen=True):
    """`sign` (RE2) tells in one scan whether it is worth looking; the first of a place wins."""

    kind: str
    rule: str
    pattern: re.Pattern[str]
    check: Check
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
    recognisers: list[_RecogniserEntry]


@cache
def recognisers() -> tuple[re2.Set, tuple[Recogniser, ...]]:
    """(the signs of all as one automaton, all)."""
    options = re2.Options()
    options.max_mem = MEMORY_BYTES
    options.log_errors = False
    signs = re2.Set.SearchSet(options)
    found = tuple(_read())
    for recogniser in found:
        signs.Add(recogniser.sign)
    signs.Compile()
    return signs, found


def _read() -> list[Recogniser]:
    file = msgspec.convert(load_yaml(DATA.read_bytes()), _PersonalFile)
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
    sign = entry.sign.replace(NAMED, named) or LOOK_AROUND.sub("", pattern)
    return Recogniser(entry.kind, entry.rule, re.compile(pattern), CHECKS[entry.check], sign)


def _of_key(name: str, form: str) -> Recogniser:
    pattern = re.compile(rf"(?<![\w-])(?:{form})(?![\w-])")
    return Recogniser("secret", name, pattern, CHECKS["mixed"], form)
