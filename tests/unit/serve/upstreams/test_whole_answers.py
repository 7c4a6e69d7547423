"""Which whole answers are none."""

from __future__ import annotations

import pytest

from llmops_cli.serve.upstreams.errors import UpstreamError
from llmops_cli.serve.upstreams.whole import LARGE_BYTES, check_whole


@pytest.mark.parametrize(
    "body",
    [
        b'{"object": "list", "data": [{"index": 0, "embedding": [0.5, 1]}], "error": null}',
        b'{"data": {"a": 1}}',
        b'{"output": [], "error": null}',
        b'{"results": [{"index": 0}]}',
        b"{}",
        b'[{"index": 0, "score": 0.5}]',
    ],
)
def test_answers_without_choices_have_any_form(body: bytes) -> None:
    check_whole(body, [], has_choices=False)


@pytest.mark.parametrize(
    "body",
    [
        b'{"error": {"message": "no"}}',
        b'{"error": {"message": "no"}, "data": []}',
        b"",
        b"<html>",
        b"[",
        b"7",
        b'{"choices": ' + b"[" * 5000,
        b'{"error": ' + b'{"a":' * 5000,
    ],
)
def test_errors_and_other_things_are_none(body: bytes) -> None:
    with pytest.raises(UpstreamError):
        check_whole(body, [], has_choices=False)
    with pytest.raises(UpstreamError):
        check_whole(body, [], has_choices=True)


def test_choices_are_needed_where_there_are_some() -> None:
    check_whole(b'{"choices": [{}], "error": null}', [], has_choices=True)
    for body in (b'{"choices": []}', b'{"choices": null}', b'{"data": [1]}'):
        with pytest.raises(UpstreamError):
            check_whole(body, [], has_choices=True)


NUMBERS = b"0.25," * (LARGE_BYTES // 5 + 1) + b"1"


@pytest.mark.parametrize(
    ("body", "has_choices"),
    [
        (b'{"data": [%b]}\n' % NUMBERS, False),
        (b" [%b]" % NUMBERS, False),
        (b'{"id": "x", "choices": [ {"message": {"content": [%b]}}]}' % NUMBERS, True),
    ],
)
def test_a_large_answer_is_looked_at_by_its_ends(body: bytes, *, has_choices: bool) -> None:
    check_whole(body, [], has_choices=has_choices)
    for wrong in (body[: len(body) // 2], b"<html>" + body, NUMBERS, b" " * len(body)):
        with pytest.raises(UpstreamError):
            check_whole(wrong, [], has_choices=has_choices)
    if not has_choices:
        with pytest.raises(UpstreamError):
            check_whole(body, [], has_choices=True)
