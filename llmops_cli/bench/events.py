"""Server-sent events out of stamped pieces of a response, and the time between those with text."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from operator import sub

import msgspec

from llmops_cli.bench.record import AT_ONCE_NS
from llmops_cli.core.histogram import keys_of
from llmops_cli.core.wrong_json import UNREADABLE

DONE = b"[DONE]"
FIELD = b"data:"
BOM = b"\xef\xbb\xbf"
"""An event stream may begin with one, which says nothing."""
JSON_BEGINS = (b"{", b"[")
"""One object is no stream of events, and may be long."""
CR = b"\r"
END = b"\n\n"
BEGIN = b"data: "


def split_events(payloads: list[bytes], stamps: list[int]) -> tuple[list[bytes], list[int], bool]:
    """The data of each event and when its last byte came.

    True at the end if [DONE] was among them.
    """
    usual = _one_each(payloads)
    if usual is not None:
        is_done = usual[-1] == DONE
        count = len(usual) - is_done
        return usual[:count], stamps[:count], is_done
    found = _Found()
    if payloads and payloads[0][:1] in JSON_BEGINS:
        return found.events, found.stamps, found.is_done
    rest = b""
    held_ns = 0
    for payload, at_ns in zip(payloads, stamps, strict=True):
        is_one_line = payload[:6] == b"data: " and payload.find(b"\n") == len(payload) - 2
        if is_one_line and not rest and payload[-1:] == b"\n" and CR not in payload:
            found.add(payload[6:-2], at_ns)
            continue
        if rest and payload[:5] == FIELD and _are_whole(rest):
            found.add_block(rest, held_ns)
            rest = b""
        whole, held = _lines_ended(rest + payload)
        *blocks, rest = whole.split(END)
        rest += held
        held_ns = at_ns
        for block in blocks:
            found.add_block(block, at_ns)
    if rest and _are_whole(rest):
        found.add_block(rest, held_ns)
    return found.events, found.stamps, found.is_done


def _one_each(payloads: list[bytes]) -> list[bytes] | None:
    """The data of each, where each payload is one event of one line, as of nearly all servers.

    Looked at together, at a third of what each costs alone.
    """
    joined = b"".join(payloads)
    if joined[:6] != BEGIN or joined[-2:] != END or CR in joined:
        return None
    if joined.count(b"\n") != 2 * len(payloads):
        return None
    events = joined[6:-2].split(END + BEGIN)
    framing = len(BEGIN) + len(END)
    if [len(payload) - framing for payload in payloads] != [*map(len, events)]:
        return None
    if b"" in events or DONE in events[:-1]:
        return None
    return events


class _Found:
    """Events in their order."""

    def __init__(self) -> None:
        self.events: list[bytes] = []
        self.stamps: list[int] = []
        self.is_done = False

    def add(self, data: bytes, at_ns: int) -> None:
        if data == DONE:
            self.is_done = True
        elif data:
            self.events.append(data)
            self.stamps.append(at_ns)

    def add_block(self, block: bytes, at_ns: int) -> None:
        for data in _datas(block):
            self.add(data, at_ns)


def _are_whole(rest: bytes) -> bool:
    """Whether each line is a message, as of servers that end theirs by one newline, or by none."""
    lines = _lines_ended(rest)[0].removeprefix(BOM).strip().split(b"\n")
    return all(line.startswith(FIELD) and _is_message(line[5:].strip()) for line in lines)


def _is_message(data: bytes) -> bool:
    if data == DONE:
        return True
    try:
        return isinstance(msgspec.json.decode(data), dict)
    except UNREADABLE:
        return False


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


def _datas(block: bytes) -> list[bytes]:
    """The data of one event, its lines joined; of several where each line is a message."""
    found = []
    is_error = False
    for line in block.removeprefix(BOM).split(b"\n"):
        if line.startswith(FIELD):
            data = line[5:].removeprefix(b" ")
            found.append(data)
        elif line.startswith(b"event:"):
            is_error = line[6:].strip() == b"error"
    if len(found) > 1 and not is_error and all(map(_is_message, found)):
        return [data.strip() for data in found]
    joined = b"\n".join(found).strip()
    return [_as_error(joined) if is_error and joined else joined]


def _as_error(data: bytes) -> bytes:
    """An event that its name makes an error, in the form of those that say it themselves."""
    try:
        said = msgspec.json.decode(data)
        if isinstance(said, dict) and said.get("error"):
            return data
        return msgspec.json.encode({"error": said})
    except UNREADABLE:
        return msgspec.json.encode({"error": data.decode(errors="replace")})


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
