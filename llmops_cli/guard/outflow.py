"""Whether an address carries something of the conversation to a host that is not known.

What a client loads by itself has to explain each of its parts; what a person may follow has to
carry a message that is coded, secret, or the prompt's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import msgspec

from llmops_cli.guard.coded_values import said_by
from llmops_cli.guard.leak import LeakCheck
from llmops_cli.guard.link_forms import Link
from llmops_cli.guard.personal import SECRETS, find
from llmops_cli.guard.web_address import Field, WebAddress, web_address
from llmops_cli.runtime.yaml_text import load_yaml

DATA = Path(__file__).with_name("data") / "links.yaml"
TOLD = (*SECRETS, "card", "iban", "ssn", "national_id")
"""Kinds that no address has to have; loaded ones neither mail nor telephone."""
TOLD_LOADED = (*TOLD, "email", "phone")
TOLD_SIGN = re.compile(r"\d.*\d.*\d|[@=:]|[A-Za-z]{20}")
"""What each of these has, so that most parts of addresses need no closer look."""
PLACEHOLDER = re.compile(r"[{<$\[%].*|(?:your|my|xxx|example)\b.*", re.IGNORECASE)
FILE = re.compile(r"[\w./@%~+-]+\.[a-z0-9]{2,5}")
NUMBER = re.compile(r"-?[\d.,:x/*%]{0,40}(?:px|em|rem|ms|s|k|m)?")
NUMBER_FREE = 3
"""Digits that any field may have."""
NAMED_NUMBER = re.compile(r"[\d.]{1,20}|[0-9a-fA-F-]{16,36}")
WORD = re.compile(r"[#]?[a-z]{1,16}(?:[-_,. |/][a-z0-9]{1,16}){0,3}|[0-9a-f]{3,8}", re.IGNORECASE)
CHECKSUM = re.compile(r"\d{1,20}|[0-9a-f]{6,128}|[\d.]+", re.IGNORECASE)
TELLS = re.compile(
    r"(?i)\b(?:password|passcode|passphrase|pin|secret|token|api.?key|ssn|diagnosis)\b"
    r"[\W_]{1,3}(?:is|was|equals)\b"
)
"""A picture that a client loads has no such words in it; what a person follows or looks for may."""
WORDS = re.compile(r"[^\W_]+")
JOINED_WORDS = re.compile(r"[a-z]+(?:[_+.-][a-z]+){5,}")
"""A sentence, though of letters exchanged: no version or signature is so."""
FRAGMENT_FIELD = re.compile(r"[&=;]")
TEXT_FRAGMENT = ":~:"
LOADED_WORDS_MOST = 5
FOLLOWED_WORDS_MOST = 9
SEARCHED_WORDS_MOST = 30
OPAQUE_LEAST = 28
LABEL_LEAST = 30
SEGMENT_LEAST = 64
OPAQUE = re.compile(r"[A-Za-z0-9+/=_-]+")
HEX = re.compile(r"[0-9a-fA-F-]+")
SPELLED_LEAST = 5
LABELS_TOGETHER = 8


class _Fields(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    display: str
    opaque: str
    words: str
    coded: str


class _LinksFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    public: list[str]
    given: list[str]
    sinks: list[str]
    fields: _Fields


class Known(msgspec.Struct, frozen=True):
    """Hosts, and names of fields by what their values are."""

    public: frozenset[str]
    given: frozenset[str]
    sinks: frozenset[str]
    display: frozenset[str]
    opaque: frozenset[str]
    words: frozenset[str]
    coded: frozenset[str]


@cache
def known() -> Known:
    file = msgspec.convert(load_yaml(DATA.read_bytes()), _LinksFile)
    fields = file.fields
    return Known(
        public=frozenset(file.public),
        given=frozenset(file.given),
        sinks=frozenset(file.sinks),
        display=frozenset(fields.display.split()),
        opaque=frozenset(fields.opaque.split()),
        words=frozenset(fields.words.split()),
        coded=frozenset(fields.coded.split()),
    )


def is_among(host: str, hosts: frozenset[str] | Sequence[str]) -> bool:
    """Whether it is one of them, or below one."""
    parts = host.split(".")
    return any(".".join(parts[start:]) in hosts for start in range(len(parts)))


def outflow_of(
    link: Link,
    *,
    hosts: Sequence[str] = (),
    leak: LeakCheck | None = None,
) -> str | None:
    """Which part of the link carries a message out, and how; None if none does."""
    address = web_address(link.url)
    if address is None:
        return None
    return _Reader(hosts=hosts, leak=leak, loads=link.loads).of(address)


class _Reader:
    """One link's parts, as strictly as its use asks for."""

    def __init__(
        self,
        *,
        hosts: Sequence[str],
        leak: LeakCheck | None,
        loads: bool,
    ) -> None:
        self._hosts = [host.lower() for host in hosts]
        self._leak = leak
        self._loads = loads

    def of(self, address: WebAddress, *, is_inner: bool = False) -> str | None:
        if address.host and is_among(address.host, self._hosts):
            return None
        if not is_inner:
            inner = self._of_inner(address)
            if inner is not None:
                return inner
        if is_among(address.host, known().public):
            return None
        if self._loads and is_among(address.host, known().sinks):
            return "collector"
        return next(self._reasons(address), None)

    def _of_inner(self, address: WebAddress) -> str | None:
        """Of addresses that a field or a segment names, plain or coded: redirects."""
        for value in (*[field.value for field in address.fields], *address.segments):
            plain = value if "//" in value else said_by(value) or ""
            inner = web_address(plain) if "//" in plain or plain.startswith("www.") else None
            reason = self.of(inner, is_inner=True) if inner is not None else None
            if reason is not None:
                return reason
        return None

    def _reasons(self, address: WebAddress) -> Iterator[str]:
        yield from self._of_host(address)
        yield from self._of_user(address)
        yield from self._of_path(address.segments)
        for field in address.fields:
            yield from self._of_field(field, is_mail=address.is_mail)
        yield from self._of_fragment(address.fragment)

    def _of_host(self, address: WebAddress) -> Iterator[str]:
        labels = address.labels
        if not labels or is_among(address.host, known().given):
            return
        for label in (*labels, "".join(labels)):
            if self._told(label):
                yield "host: a message"
                return
        if any(_is_opaque(label, LABEL_LEAST) for label in labels):
            yield "host: unreadable"

    def _of_user(self, address: WebAddress) -> Iterator[str]:
        if not address.user:
            return
        parts = re.split("[:+@,]", address.user)
        if any(self._told(part) for part in parts[: 4 if not address.is_mail else 2]):
            yield "user: a message"
        elif self._loads and not address.is_mail:
            yield "user: unexplained"

    def _of_path(self, segments: Sequence[str]) -> Iterator[str]:
        for segment in segments:
            if self._told(segment) or self._told(segment.rpartition(".")[0]):
                yield "path: a message"
            elif self._loads and _words(segment) > LOADED_WORDS_MOST and " " in segment:
                yield "path: a sentence"
            elif self._loads and _is_opaque(segment, SEGMENT_LEAST):
                yield "path: unreadable"
        single = [segment for segment in segments if len(segment.partition(".")[0]) == 1]
        if self._loads and len(single) >= SPELLED_LEAST:
            yield "path: spelled"

    def _of_field(self, field: Field, *, is_mail: bool) -> Iterator[str]:
        value = field.value
        if self._loads and TELLS.search(value):
            yield "query: a message"
            return
        if PLACEHOLDER.fullmatch(value) or "//" in value:
            return
        if field.name not in known().coded or self._loads:
            is_signed = field.name in known().coded
            if (
                self._told(value) or (field.written != value and self._told(field.written))
            ) and not is_signed:
                yield "query: a message"
                return
        if self._loads:
            if not _is_explained(field):
                yield "query: unexplained"
        elif _words(value) > self._words_most(field, is_mail=is_mail):
            yield "query: a sentence"
        elif _is_opaque(value, OPAQUE_LEAST) and not _is_drawn(field.name):
            yield "query: unreadable"

    def _words_most(self, field: Field, *, is_mail: bool) -> int:
        if is_mail or field.name in ("text", "body", "message", "content", "details"):
            return 200
        return SEARCHED_WORDS_MOST if field.name in known().words else FOLLOWED_WORDS_MOST

    def _of_fragment(self, fragment: str) -> Iterator[str]:
        if not fragment or fragment.startswith(TEXT_FRAGMENT):
            return
        for part in (fragment, *FRAGMENT_FIELD.split(fragment)):
            if self._told(part.lstrip("/!")):
                yield "fragment: a message"
                return

    def _told(self, value: str) -> bool:
        """Whether it is coded, personal or the prompt's."""
        if len(value) < 4:
            return False
        said = said_by(value)
        if said is not None:
            return not said.startswith(("http://", "https://"))
        if self._leak is not None and self._leak.is_told_by(value):
            return True
        if not TOLD_SIGN.search(value):
            return False
        kinds = TOLD_LOADED if self._loads else TOLD
        return any(entity.kind in kinds for entity in find(value))


def _is_explained(field: Field) -> bool:
    """Whether a value is what its name says, and can be little else."""
    value = field.value.strip()
    if len(value) <= NUMBER_FREE and value.isdigit():
        return True
    if FILE.fullmatch(value) or value.startswith("/") or value.lower() in ("true", "false"):
        return True
    if not field.name:
        return CHECKSUM.fullmatch(value) is not None
    if field.name in known().opaque:
        return " " not in value and not JOINED_WORDS.fullmatch(value)
    if field.name in known().display:
        return NUMBER.fullmatch(value) is not None or WORD.fullmatch(value) is not None
    if field.name.endswith("id"):
        return NAMED_NUMBER.fullmatch(value) is not None
    return field.name.startswith("utm_") and _words(value) <= LOADED_WORDS_MOST


def _is_drawn(name: str) -> bool:
    """Whether what the field is for is drawn by chance."""
    drawn = known().opaque
    return (
        name in drawn
        or any(part in drawn for part in re.split(r"[_\-.]", name))
        or name.endswith("id")
    )


def _words(value: str) -> int:
    return len(WORDS.findall(value))


def _is_opaque(value: str, least: int) -> bool:
    """Long, of one piece, and with capitals and digits mixed; sums in hex are honest."""
    plain = value.partition(".")[0]
    if len(plain) < least or not OPAQUE.fullmatch(plain) or HEX.fullmatch(plain):
        return False
    runs = re.findall(r"[a-z]+|[A-Z]+|\d+", plain)
    return len(runs) > len(plain) / 4 and any(run.isdigit() for run in runs)
