"""Bodies in which a key comes twice."""

from __future__ import annotations


def has_twin(body: bytes, again: bytes) -> bool:
    """A key that comes twice has two values, and servers differ in which counts.

    `again`: with each key once. Without escapes, strings have the colons that they had.
    """
    if b"\\" not in body:
        return body.count(b":") != again.count(b":")
    return _keys_in(body) != _keys_in(again)


def _keys_in(body: bytes) -> int:
    """Outside strings each colon stands behind a key."""
    if b"\\" in body:
        body = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    outside = body.split(b'"')[::2]
    return b"".join(outside).count(b":")
