"""Bodies of too many values are refused before they are read, whatever their strings say."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest

pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")

from hypothesis import given
from hypothesis import strategies as st

from _openai.errors import RequestError
from _openai.fields import body_of
from _shared.crowd import Counts, crowd_in
from llamacpp.server.embeddings import json_object
from llamacpp.server.errors import BadRequest
from llamacpp.server.requests import ChatRequest, CompletionRequest, TokenizeRequest, decode
from llmops_cli.serve.judging.crowd import FIELDS_MOST, NUMBERS_MOST, VALUES_MOST, count_of

MB = 1 << 20
TEXT = st.text(alphabet='a"\\,:{}[]é\n', max_size=8)
VALUES = st.recursive(
    st.none() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
)
READ: dict[str, Callable[[bytes], object]] = {
    "chat": lambda body: decode(body, ChatRequest),
    "completion": lambda body: decode(body, CompletionRequest),
    "tokenize": lambda body: decode(body, TokenizeRequest),
    "embeddings": json_object,
    "other engines": body_of,
}


@given(value=VALUES, size=st.integers(1, 9))
def test_counts_are_those_of_the_gateway_wherever_a_body_is_cut(value: object, size: int) -> None:
    raw = json.dumps(value, ensure_ascii=False).encode()
    counts = Counts()
    for start in range(0, len(raw), size):
        counts.add(raw[start : start + size])
    assert (counts.values, counts.fields, counts.commas) == count_of(raw)


@pytest.mark.parametrize("read", READ)
@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"[" + b"{}," * MB + b"1]", f"{VALUES_MOST:,} objects"),
        (b"[" + b"1," * MB + b"1]", f"{NUMBERS_MOST:,} numbers"),
        (b"{" + b'"a":1,' * MB + b'"a":1}', f"{FIELDS_MOST:,} fields"),
    ],
    ids=["objects", "numbers", "fields"],
)
def test_a_crowd_is_refused_in_a_moment(read: str, value: bytes, reason: str) -> None:
    """Nothing else is done while JSON is read: a body of 32 MB took all others two seconds."""
    start = time.process_time()
    with pytest.raises((BadRequest, RequestError), match=reason):
        READ[read](b'{"messages": [], "prompt": "x", "input": ' + value + b"}")
    assert time.process_time() - start < 0.3


def test_a_long_text_is_no_crowd() -> None:
    text = 'a, "b": [c]\n\\' * (MB // 4)
    assert crowd_in(json.dumps({"prompt": text}).encode()) is None
