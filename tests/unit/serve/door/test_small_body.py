"""Small bodies are what they say once, and told in plain words where they are not."""

import msgspec
import pytest

from llmops_cli.serve.door.small_body import small_body
from llmops_cli.serve.refusal import Refusal
from llmops_cli.serve.rollout.orders import Order


class Body(msgspec.Struct, forbid_unknown_fields=True):
    score: float = 0.0
    text: str = ""


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b'{"score":',
        b"\xff",
        b'{"score": 1, "score": 0}',
        b'{"text": "a\\"b", "te\\u0078t": "c"}',
        b'{"scor": 1}',
        b'{"score": "much"}',
        b'{"score": NaN}',
    ],
)
def test_what_is_no_such_body_is_refused_without_a_librarys_words(raw: bytes) -> None:
    with pytest.raises(Refusal) as error:
        small_body(raw, Body)
    assert error.value.status == 400
    for word in ("Expected", "Object", "truncated", "`", "$"):
        assert word not in error.value.message


def test_a_body_is_read_once() -> None:
    body = small_body(b'{"score": 0.5, "text": "a: \\"b: c\\""}', Body)
    assert (body.score, body.text) == (0.5, 'a: "b: c"')
    assert small_body(b'{"action": "rollback"}', Order).model is None
