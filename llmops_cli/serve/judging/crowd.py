"""How many values a body's JSON has, whatever its strings say. Nothing is made of them."""

from __future__ import annotations

import re

from llmops_cli.serve.refusal import Refusal

VALUES_MOST = 50_000
"""Objects, arrays and strings. A chat of 2,000 messages with tools has a tenth of them."""
NUMBERS_MOST = 1_000_000
"""OpenAI takes 300,000 tokens at once."""
_STRING = re.compile(rb'"[^"]*"')


def refuse_crowd(body: bytes) -> None:
    """Raises: Refusal for a body of more values than any request needs."""
    bound = body.count(b"{") + body.count(b"[") + body.count(b'"')
    if bound <= VALUES_MOST and body.count(b",") <= NUMBERS_MOST:
        return
    if b"\\" in body:
        body = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    bare = _STRING.sub(b'"', body)
    strings = bare.count(b'"') - bare.count(b":")
    values = bare.count(b"{") + bare.count(b"[") + strings
    if values > VALUES_MOST:
        raise _crowded(f"{VALUES_MOST:,} objects, arrays and strings")
    if bare.count(b",") > NUMBERS_MOST or bare.count(b":") > VALUES_MOST:
        raise _crowded(f"{VALUES_MOST:,} fields or {NUMBERS_MOST:,} numbers")


def _crowded(what: str) -> Refusal:
    return Refusal(413, f"the body has more than {what}", code="too_large")
