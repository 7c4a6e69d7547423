"""Streams of a chat completion, as a server sends them."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st

words = st.lists(st.text(max_size=12), max_size=12)
places = st.lists(st.integers(0, 5000), max_size=20)
"""Where a stream is cut."""


def stream_of(
    pieces: list[str],
    *,
    usage: bool = True,
    separator: str = "\n\n",
) -> bytes:
    head = {
        "id": "x",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
    }
    chunks = [{**head, "choices": [choice(piece)]} for piece in pieces]
    chunks.append({**head, "choices": [choice(None, finish_reason="stop")]})
    if usage:
        counts = {"prompt_tokens": 5, "completion_tokens": 7}
        chunks.append(
            {
                **head,
                "choices": [],
                "usage": counts,
            }
        )
    events = [f"data: {json.dumps(chunk)}" for chunk in chunks]
    events.append("data: [DONE]")
    return "".join(event + separator for event in events).encode()


def choice(content: str | None, *, finish_reason: str | None = None) -> dict[str, Any]:
    delta = {} if content is None else {"content": content}
    return {
        "index": 0,
        "delta": delta,
        "finish_reason": finish_reason,
    }


def cut(raw: bytes, places: list[int]) -> list[bytes]:
    edges = sorted({0, len(raw), *(place % (len(raw) + 1) for place in places)})
    return [raw[start:end] for start, end in pairwise(edges)]


def text_in(events: bytes) -> str:
    """What a client would show."""
    found = ""
    for line in events.splitlines():
        if not line.startswith(b"data: {"):
            continue
        for each in json.loads(line[6:])["choices"]:
            found += each["delta"].get("content") or ""
    return found
