"""An address as a browser reads it, which is more than a standard allows."""

from __future__ import annotations

import re
from urllib.parse import unquote, unquote_plus

import msgspec

WEB = re.compile(
    r"(?is)(?:(?:https?|ftp|wss?):[/\\]*|[/\\]{2,}|(?=www\.))"
    r"([^/\\?#]*)([^?#]*)(?:\?([^#]*))?(?:#(.*))?"
)
MAIL = re.compile(r"(?is)(?:mailto|sms|smsto|whatsapp):([^?#]*)(?:\?([^#]*))?")
DROPPED = re.compile(r"[\t\n\r\x00-\x1f]")
SEGMENTS = re.compile(r"[/\\]+")
FIELDS = re.compile("[&;]")
FIELDS_MOST = 64
SEGMENTS_MOST = 64


class Field(msgspec.Struct, frozen=True):
    """One of an address's fields: its name in lower case, what was written, what it says."""

    name: str
    written: str
    value: str


class WebAddress(msgspec.Struct, frozen=True, kw_only=True):
    """`host` is empty for a letter; its receiver is then `user`."""

    host: str
    user: str = ""
    segments: tuple[str, ...] = ()
    fields: tuple[Field, ...] = ()
    fragment: str = ""

    @property
    def is_mail(self) -> bool:
        return not self.host

    @property
    def labels(self) -> list[str]:
        """Of the host, without the two that somebody must own."""
        return self.host.split(".")[:-2]


def web_address(url: str) -> WebAddress | None:
    """None for a place in the same site, and for what is no address at all."""
    url = DROPPED.sub("", url).strip()
    found = WEB.fullmatch(url)
    if found is None:
        return _letter(url)
    authority = found[1].rpartition("@")
    host = unquote(authority[2]).partition(":")[0].strip(".").lower()
    if not host:
        return None
    segments = [unquote(segment) for segment in SEGMENTS.split(found[2]) if segment]
    return WebAddress(
        host=host,
        user=unquote(authority[0]),
        segments=tuple(segments[:SEGMENTS_MOST]),
        fields=_fields(found[3] or ""),
        fragment=unquote(found[4] or ""),
    )


def _letter(url: str) -> WebAddress | None:
    found = MAIL.fullmatch(url)
    if found is None:
        return None
    return WebAddress(host="", user=unquote(found[1]), fields=_fields(found[2] or ""))


def _fields(query: str) -> tuple[Field, ...]:
    found = []
    for part in FIELDS.split(query)[:FIELDS_MOST]:
        name, sign, written = part.partition("=")
        if not sign:
            name = ""
            written = part
        if written:
            found.append(Field(unquote(name).lower(), unquote(written), unquote_plus(written)))
    return tuple(found)
