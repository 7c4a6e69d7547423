"""One request as it was measured."""

from __future__ import annotations

import msgspec


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Offsets are nanoseconds on the monotonic clock since the level began.

    `intended_ns` is when the request was due, `sent_ns` when its bytes left; their gap is the client's own
    delay. `chunk_ns` are the arrivals of chunks that carried text, `end_ns` the last of them. Token counts
    are the server's usage numbers when it sends them, else counted chunks.
    """

    index: int
    concurrency: int
    intended_ns: int
    sent_ns: int
    first_ns: int | None = None
    end_ns: int | None = None
    chunk_ns: tuple[int, ...] = ()
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    text_sha256: str | None = None
    status: int | None = None
    error: str | None = None
