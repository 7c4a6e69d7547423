"""Server-sent events out of stamped pieces of a response, and the time between those with text."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from operator import sub

import msgspec

from llmops_cli.bench.record import AT_ONCE_NS
from llmops_cli.core.histogram import keys_of

DONE = b"[DONE]"
CR = b"\r"
END = b"\n\n"


def split_events(payloads: list[bytes], stamps: list[int]) -> tuple[list[bytes], list[int], bool]:
    """The data of each event and when its last byte came.

    True at the end if [DONE] was among them.
    """
    events: list[bytes] = []
    times: list[int] = []
    done = False
    rest = b""
    for payload, at_ns in zip(payloads, stamps, strict=True):
        is_one_line = payload[:6] == b"data: " and payload.find(b"\n") == len(payload) - 2
        if is_one_line and not rest and payload[-1:] == b"\n" and CR not in payload:
            data = payload[6:-2]
            if data == DONE:
                done = True
            else:
                events.append(data)
                times.append(at_ns)
            continue
        whole, held = _lines_ended(rest + payload)
        *blocks, rest = whole.split(END)
        rest += held
        for block in blocks:
            data = _event_data(block)
            if data == DONE:
                done = True
            elif data:
                events.append(data)
                times.append(at_ns)
    last = rest.strip().removeprefix(b"data:")
    if last.strip() == DONE:
        done = True
    return events, times, done


def _lines_ended(payload: bytes) -> tuple[bytes, bytes]:
    """With each of the three ends of a line as a newline, and what may be half of an end.

    A lone CR ends a line too, and never stands inside JSON; the last one may belong to a CRLF.
    """
    if CR not in payload:
        return payload, b""
    whole = payload.replace(b"\r\n", b"\n")
    held = b""
    if whole.endswith(CR) and not whole.endswith(CR + CR):
        whole = whole[:-1]
        held = CR
    return whole.replace(CR, b"\n"), held


def _event_data(block: bytes) -> bytes:
    """The lines of data of one event, joined."""
    found = []
    is_error = False
    for line in block.split(b"\n"):
        if line.startswith(b"data:"):
            data = line[5:].removeprefix(b" ")
            found.append(data)
        elif line.startswith(b"event:"):
            is_error = line[6:].strip() == b"error"
    joined = b"\n".join(found).strip()
    if is_error and joined:
        return _as_error(joined)
    return joined


def _as_error(data: bytes) -> bytes:
    """An event that its name makes an error, in the form of those that say it themselves."""
    try:
        said = msgspec.json.decode(data)
    except msgspec.DecodeError:
        said = data.decode(errors="replace")
    if isinstance(said, dict) and said.get("error"):
        return data
    return msgspec.json.encode({"error": said})


def gaps_of(stamps: list[int], tokens: int) -> tuple[float, ...]:
    """Time per token between chunks as a sparse histogram (core.record.Record.gaps).

    Where a chunk holds several tokens, its gap is spread over them by the usage count: n tokens in
    m chunks make each of the m - 1 gaps count for (n - 1) / (m - 1) tokens, so the mean is TPOT.
    None for an answer that came at once.
    """
    if len(stamps) < 2 or tokens < 2:
        return ()
    if stamps[-1] - stamps[0] < (tokens - 1) * AT_ONCE_NS:
        return ()
    gaps = len(stamps) - 1
    each = (tokens - 1) / gaps
    gaps_ns = map(sub, islice(stamps, 1, None), stamps)
    scale = 1 / (1e6 * each)
    keys = keys_of(gaps_ns, scale)
    found: list[float] = []
    for key, count in Counter(keys).items():
        found.append(key)
        found.append(round(count * each, 6))
    return tuple(found)
