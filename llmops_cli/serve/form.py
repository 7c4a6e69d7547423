"""Bodies of type multipart/form-data: fields of text, and files.

Read into the values that a JSON body would have, and written anew for the upstream, so that what
was read is what is sent.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from email.message import Message
from typing import Any, NamedTuple

import msgspec

Json = dict[str, Any]  # Any: JSON
PARTS_MOST = 128
HEAD_MOST = 4096
BOUNDARY_MOST = 70
KIND_MOST = 1024
SWITCHES = {"true": True, "false": False}
LIST = "[]"
"""The end of a field's name that may come several times."""


class MalformedForm(Exception):
    """It is no form, or none that could be read in one way only."""


class FilePart(NamedTuple):
    """`field` names it in the form, `name` is the file's."""

    field: str
    name: str
    kind: str
    data: bytes


class Form(NamedTuple):
    values: Json
    files: tuple[FilePart, ...]


class _Part(NamedTuple):
    head: Message
    data: bytes


def read_form(body: bytes, content_type: str) -> Form:
    """Raises: MalformedForm."""
    values: Json = {}
    files: list[FilePart] = []
    for part in _parts(body, _boundary(content_type)):
        name = _parameter(part.head, "name")
        file_name = _parameter(part.head, "filename")
        if not name:
            raise MalformedForm("a part has no name")
        if file_name is not None:
            kind = part.head.get_content_type()
            files.append(FilePart(name, file_name, kind, part.data))
        elif name.endswith(LIST):
            values.setdefault(name, []).append(_text(name, part.data))
        elif name in values:
            raise MalformedForm(f"{name[:HEAD_MOST]!r} comes twice")
        else:
            text = _text(name, part.data)
            values[name] = SWITCHES.get(text, text) if name == "stream" else text
    return Form(values, tuple(files))


def _boundary(content_type: str) -> bytes:
    if len(content_type) > KIND_MOST:
        raise MalformedForm("the content type is too long")
    head = Message()
    head["content-type"] = content_type
    found = head.get_boundary()
    if head.get_content_type() != "multipart/form-data" or not found:
        raise MalformedForm("the body is no multipart/form-data with a boundary")
    if len(found) > BOUNDARY_MOST or not found.isascii():
        raise MalformedForm("the form's boundary is none")
    return found.encode()


def _parts(body: bytes, boundary: bytes) -> Iterator[_Part]:
    """Nothing of a file is copied but once."""
    mark = b"\r\n--" + boundary
    start = _after_first(body, mark)
    count = 0
    while not body.startswith(b"--", start):
        end = body.find(mark, start)
        count += 1
        if end < 0 or count > PARTS_MOST:
            raise MalformedForm(f"the form does not end, or has more than {PARTS_MOST} parts")
        yield _part(body, start, end)
        start = end + len(mark)


def _after_first(body: bytes, mark: bytes) -> int:
    """The first boundary has no line before it, as a rule."""
    if body.startswith(mark[2:]):
        return len(mark) - 2
    found = body.find(mark)
    if found < 0:
        raise MalformedForm("the form has no parts")
    return found + len(mark)


def _part(body: bytes, start: int, end: int) -> _Part:
    stop = body.find(b"\r\n\r\n", start, min(end, start + HEAD_MOST))
    if stop < 0 or not body.startswith(b"\r\n", start):
        raise MalformedForm("a part has no head, or a long one")
    message = Message()
    try:
        for line in body[start + 2 : stop].decode("utf-8").split("\r\n"):
            name, _, value = line.partition(":")
            message[name.strip()] = value.strip()
    except UnicodeDecodeError:
        raise MalformedForm("a part's head is no text") from None
    return _Part(message, body[stop + 4 : end])


def _parameter(head: Message, name: str) -> str | None:
    found = head.get_param(name, header="content-disposition")
    if isinstance(found, tuple):  # RFC 2231: (charset, language, text)
        return found[2]
    return found


def _text(name: str, data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise MalformedForm(f"{name[:HEAD_MOST]!r} is no text") from None


class WrittenForm(NamedTuple):
    content_type: bytes
    body: bytes


def written_form(fields: dict[str, msgspec.Raw], files: Sequence[FilePart]) -> WrittenForm:
    boundary = secrets.token_hex(16).encode()
    pieces: list[bytes] = []
    for name, raw in fields.items():
        for text in _texts_of(msgspec.json.decode(raw)):
            pieces += [b"--", boundary, b"\r\n", _disposition(name), b"\r\n\r\n", text, b"\r\n"]
    for file in files:
        head = _disposition(file.field, file.name) + b"\r\ncontent-type: " + file.kind.encode()
        pieces += [b"--", boundary, b"\r\n", head, b"\r\n\r\n", file.data, b"\r\n"]
    pieces += [b"--", boundary, b"--\r\n"]
    return WrittenForm(b"multipart/form-data; boundary=" + boundary, b"".join(pieces))


def _texts_of(value: object) -> list[bytes]:
    if isinstance(value, list):
        return [_as_text(each) for each in value]
    return [_as_text(value)]


def _as_text(value: object) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "replace")
    return msgspec.json.encode(value)


def _disposition(name: str, file_name: str | None = None) -> bytes:
    found = f'content-disposition: form-data; name="{_quoted(name)}"'
    if file_name is not None:
        found += f'; filename="{_quoted(file_name)}"'
    return found.encode("utf-8", "replace")


def _quoted(text: str) -> str:
    """As browsers write it."""
    return text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
