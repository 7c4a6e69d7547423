"""One request as it was measured, and the metrics of one request (docs/METRICS.md)."""

from __future__ import annotations

import msgspec

from llmops_cli.bench.failure import ErrorKind

AT_ONCE_NS = 50_000
"""A token in less is none that was just made: somebody on the way held the answer back."""


class Record(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, array_like=True, gc=False
):
    """Offsets are nanoseconds on the monotonic clock since the level began.

    `intended_ns` is when the request was due, `sent_ns` when its bytes were handed to the kernel;
    their gap is the client's own delay. `connect_ns` is how long opening its connection took (0 for
    an open one). `first_ns` and `end_ns` are the arrivals of the first and last chunk that carried
    text, `done_ns` the end of the response; an answer that is no stream has no `first_ns`. `gaps`
    is a sparse histogram of the time per token between chunks: key, weight, key, weight
    (core.stats.key_of over milliseconds). Token counts are the server's usage numbers when it sends
    them, else counted chunks; `hidden_tokens` of the output were thought and never sent. `texts`:
    those that an answer has vectors of. `error` is for people, `error_kind` for decisions.
    """

    index: int
    level: int = 0
    repetition: int = 0
    worker: int = 0
    conversation: int = 0
    turn: int = 0
    intended_ns: int
    sent_ns: int
    connect_ns: int = 0
    first_ns: int | None = None
    end_ns: int | None = None
    done_ns: int
    chunks: int = 0
    gaps: tuple[float, ...] = ()
    input_wanted: int = 0
    output_wanted: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    counted_by: str = "usage"
    finish_reason: str | None = None
    text_sha256: str | None = None
    status: int | None = None
    error: str | None = None
    error_kind: ErrorKind | None = None
    hidden_tokens: int = 0
    texts: int = 0


def visible_tokens(record: Record) -> int:
    """Output tokens that were sent: those that a stream's time is about."""
    return max(0, record.output_tokens - record.hidden_tokens)


def came_at_once(record: Record) -> bool:
    """Whether an answer of several tokens came too fast to have been made as it came.

    So do answers that are no streams, and those that a proxy holds back until they are whole.
    """
    if record.end_ns is None:
        return False
    if record.first_ns is None:
        return True
    later_tokens = visible_tokens(record) - 1
    spent_ns = record.end_ns - record.first_ns
    return later_tokens > 0 and spent_ns < later_tokens * AT_ONCE_NS


def ttft_ms(record: Record) -> float | None:
    """From the intended send to the first chunk with text, without opening a connection."""
    if record.first_ns is None:
        return None
    waited_ns = record.first_ns - record.intended_ns
    return (waited_ns - record.connect_ns) / 1e6


def tpot_ms(record: Record) -> float | None:
    """Mean time per visible token after the first.

    None with fewer than two, and for an answer that came at once.
    """
    if record.first_ns is None or record.end_ns is None:
        return None
    tokens = visible_tokens(record)
    if tokens < 2 or came_at_once(record):
        return None
    spent_ms = (record.end_ns - record.first_ns) / 1e6
    return spent_ms / (tokens - 1)


def e2e_ms(record: Record) -> float | None:
    """From the intended send to the last chunk with text, without opening a connection."""
    if record.end_ns is None:
        return None
    waited_ns = record.end_ns - record.intended_ns
    return (waited_ns - record.connect_ns) / 1e6


def normalized_ms(record: Record) -> float | None:
    """End to end time per visible token: what a reader waits per token.

    Queueing and prefill are included.
    """
    whole_ms = e2e_ms(record)
    tokens = visible_tokens(record)
    if whole_ms is None or not tokens:
        return None
    return whole_ms / tokens


def queue_delay_ms(record: Record) -> float:
    """How late this program sent the request, without opening a connection."""
    late_ns = record.sent_ns - record.intended_ns
    own_ns = late_ns - record.connect_ns
    return max(0.0, own_ns / 1e6)


def connect_ms(record: Record) -> float | None:
    """Opening the connection (TCP and TLS); None for a request on an open one."""
    if not record.connect_ns:
        return None
    return record.connect_ns / 1e6


METRICS = {
    "ttft_ms": ttft_ms,
    "tpot_ms": tpot_ms,
    "e2e_ms": e2e_ms,
    "normalized_ms": normalized_ms,
    "queue_delay_ms": queue_delay_ms,
    "connect_ms": connect_ms,
}
"""Metrics that are one number a request. ITL has many; its samples are in `gaps`."""
