"""A stream that is passed as it comes: what is known of its end."""

from __future__ import annotations

import json

import pytest

from llmops_cli.serve.answers.readers import stream_reader
from llmops_cli.serve.endpoints import RESPONSES
from llmops_cli.serve.upstreams.errors import EndedEarly

DELTA = {"type": "response.output_text.delta", "delta": 'he said {"type":"response.completed"}'}
ENDS = ["response.completed", "response.failed", "response.incomplete", "error"]


def passed(events: list[dict[str, object]], size: int, *, compact: bool) -> bytes:
    separators = (",", ":") if compact else None
    stream = b"".join(
        f"event: {event['type']}\ndata: {json.dumps(event, separators=separators)}\n\n".encode()
        for event in events
    )
    reader = stream_reader(RESPONSES, None, hides_usage=False, keeps=False)
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
    shown = b"".join(map(reader.feed, pieces)) + reader.finish()
    assert shown == stream
    return shown


@pytest.mark.parametrize("compact", [True, False])
@pytest.mark.parametrize("size", [1, 7, 4096])
@pytest.mark.parametrize("last", ENDS)
def test_a_response_that_has_its_last_event_is_whole(last: str, size: int, compact: bool) -> None:
    assert passed([DELTA, {"type": last}], size, compact=compact)


@pytest.mark.parametrize("size", [1, 7, 4096])
def test_one_without_it_ended_early_whatever_its_text_says(size: int) -> None:
    with pytest.raises(EndedEarly):
        passed([DELTA, DELTA], size, compact=True)
