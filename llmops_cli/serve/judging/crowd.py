"""How many values a body's JSON has, whatever its strings say. Nothing is made of them."""

from __future__ import annotations

import re
from typing import NamedTuple

from llmops_cli.serve.refusal import Refusal

VALUES_MOST = 50_000
"""Objects, lists and strings. A chat of 2,000 messages with tools has a tenth of them."""
FIELDS_MOST = 100_000
"""Of all objects together."""
NUMBERS_MOST = 500_000
"""OpenAI takes 300,000 tokens at once."""
_STRING = re.compile(rb'"[^"]*"')


class Counted(NamedTuple):
    """`values`: objects, lists, and strings that are no fields' names."""

    values: int
    fields: int
    commas: int


def refuse_crowd(body: bytes) -> None:
    """Raises: Refusal for a body of more values than any request needs."""
    bound = body.count(b"{") + body.count(b"[") + body.count(b'"')
    if bound <= VALUES_MOST and body.count(b",") <= NUMBERS_MOST:
        return
    found = count_of(body)
    if found.values > VALUES_MOST:
        raise _crowded(f"{VALUES_MOST:,} objects, lists and strings")
    if found.fields > FIELDS_MOST:
        raise _crowded(f"{FIELDS_MOST:,} fields")
    if found.commas > NUMBERS_MOST:
        raise _crowded(f"{NUMBERS_MOST:,} numbers")


def count_of(body: bytes) -> Counted:
    if b"\\" in body:
        body = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    bare = _STRING.sub(b'"', body)
    fields = bare.count(b":")
    strings = bare.count(b'"') - fields
    return Counted(
        values=bare.count(b"{") + bare.count(b"[") + strings,
        fields=fields,
        commas=bare.count(b","),
    )


def _crowded(what: str) -> Refusal:
    return Refusal(400, f"the body has more than {what}", code="too_large")
