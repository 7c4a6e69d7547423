"""Answers in the forms that servers have for them: what was said, what was thought, what failed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmops_cli.bench.answer import Completion, parse_answer, told_count
from llmops_cli.bench.failure import ErrorKind
from llmops_cli.runtime.wire import HttpResponse

DONE = b"data: [DONE]\n\n"
AT_NS = 7


def answered(body: bytes, *, status: int = 200, head: str = "") -> Completion:
    response = HttpResponse()
    length = f"Content-Length: {len(body)}"
    start = f"HTTP/1.1 {status} X\r\n{head}{length}\r\n\r\n".encode()
    assert response.feed(AT_NS, start + body)
    return parse_answer(response)


def event(payload: object) -> bytes:
    return b"data: " + json.dumps(payload).encode() + b"\n\n"


def streamed(*deltas: dict[str, Any], finish: str = "stop") -> Completion:
    chunks = [{"choices": [{"delta": delta}]} for delta in deltas]
    chunks.append({"choices": [{"delta": {}, "finish_reason": finish}]})
    return answered(b"".join(map(event, chunks)) + DONE)


@pytest.mark.parametrize(
    "deltas",
    [
        [{"reasoning_content": "Hm. "}, {"content": "Yes."}],
        [{"reasoning": "Hm. "}, {"content": "Yes."}],
        [{"thinking": "Hm. "}, {"content": "Yes."}],
        [
            {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm. "}]}]},
            {"content": [{"type": "text", "text": "Yes."}]},
        ],
        [{"content": [{"type": "thinking", "thinking": "Hm. "}, {"type": "text", "text": "Yes."}]}],
    ],
    ids=["reasoning_content", "reasoning", "thinking", "lists", "one list"],
)
def test_what_is_thought_aloud_is_text_and_is_not_said(deltas: list[dict[str, Any]]) -> None:
    answer = streamed(*deltas)
    assert answer.failure is None
    assert (answer.text, answer.said, answer.thought) == ("Hm. Yes.", "Yes.", True)
    assert len(answer.stamps) == len(deltas)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<think>one or two</think>\n\nTwo.", "Two."),
        ("one or two</think>Two.", "Two."),
        ("<think>one or tw", ""),
        ("a < b", "a < b"),
    ],
)
def test_thoughts_in_tags_are_not_said(text: str, said: str) -> None:
    assert streamed({"content": text}).said == said


def test_calls_of_tools_are_text_and_not_said() -> None:
    call = {"index": 0, "function": {"arguments": "{"}}
    answer = streamed({"content": "One moment."}, {"tool_calls": [call]})
    assert answer.said == "One moment."
    assert len(answer.stamps) == 2


def test_an_answer_that_is_no_stream_has_its_end_alone() -> None:
    choice = {"message": {"role": "assistant", "content": "Yes."}, "finish_reason": "stop"}
    whole = {"choices": [choice], "usage": {"completion_tokens": 2}}
    answer = answered(json.dumps(whole).encode())
    assert answer.failure is None
    assert (answer.said, answer.is_stream, answer.stamps) == ("Yes.", False, [AT_NS])
    assert answer.usage == {"completion_tokens": 2}


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("abort", ErrorKind.ABORTED),
        ("error", ErrorKind.ENDED_IN_ERROR),
        ("content_filter", ErrorKind.FILTERED),
    ],
)
def test_an_answer_that_was_cut_off_is_no_answer(reason: str, kind: ErrorKind) -> None:
    answer = streamed({"content": "Half"}, finish=reason)
    assert answer.failure is not None
    assert answer.failure.kind is kind


@pytest.mark.parametrize(
    "body",
    [
        event({"error": {"message": "out of memory", "code": 500}}),
        event({"error": "out of memory"}),
        event({"object": "error", "message": "out of memory", "code": 500}),
        event({"detail": "out of memory"}),
        event({"choices": [{"delta": {}, "error": {"message": "out of memory"}}]}),
        b"event: error\ndata: out of memory\n\n",
        b'event: error\ndata: {"message": "out of memory"}\n\n',
        b'{"object": "error", "message": "out of memory"}',
        b'{"error": {"message": "out of memory"}}',
    ],
    ids=["object", "text", "vllm", "detail", "choice", "named", "named object", "whole", "error"],
)
def test_an_error_keeps_the_servers_words(body: bytes) -> None:
    answer = answered(body)
    assert answer.failure is not None
    assert answer.failure.kind is ErrorKind.ERROR_EVENT
    assert answer.failure.text == "error event: out of memory"


def test_a_redirect_is_named_with_its_place() -> None:
    answer = answered(b"", status=308, head="Location: https://there.example/v1?A=b\r\n")
    assert answer.failure is not None
    assert answer.failure.text == "HTTP 308: moved to https://there.example/v1?A=b"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'[{"error": {"code": 429, "message": "quota"}}]', "quota"),
        (b'{"detail": [{"loc": ["body"], "msg": "short"}]}', '[{"loc":["body"],"msg":"short"}]'),
        (b"<html>Bad gateway</html>", "<html>Bad gateway</html>"),
    ],
    ids=["list", "detail", "page"],
)
def test_a_refusal_keeps_the_servers_words(body: bytes, words: str) -> None:
    answer = answered(body, status=502)
    assert answer.failure is not None
    assert answer.failure.text == f"HTTP 502: {words}"


def test_usage_beside_text_and_thoughts_beside_words_are_seen() -> None:
    chunk = {"choices": [{"delta": {"content": "Yes.", "reasoning_content": "Hm. "}}]}
    last = {
        "choices": [{"delta": {"content": "No."}, "finish_reason": "stop"}],
        "usage": {"completion_tokens": 5},
    }
    answer = answered(event(chunk) + event(last))
    assert (answer.text, answer.said, answer.thought) == ("Hm. Yes.No.", "Yes.No.", True)
    assert answer.usage == {"completion_tokens": 5}


@pytest.mark.parametrize(
    ("told", "count"),
    [(5, 5), (5.0, 5), (0, 0), (-2, None), ("5", None), (True, None), ([5], None), (1e30, None)],
)
def test_a_number_of_tokens_is_one(told: object, count: int | None) -> None:
    assert told_count(told) == count


DEEP = b"[" * 100_000 + b"]" * 100_000
LESS_DEEP = b"[" * 900 + b'"x"' + b"]" * 900


@pytest.mark.parametrize("bad", [b'"\xff\xfe"', DEEP, LESS_DEEP, b"1e400", b'"\\ud800"'])
@pytest.mark.parametrize(
    "form",
    [
        b'data: {"choices":[{"delta":{"content":BAD}}]}\n\ndata: [DONE]\n\n',
        b'data: {"choices":[{"delta":{"content":"a"}}],"usage":{"x":BAD}}\n\ndata: [DONE]\n\n',
        b'data: {"choices":[{"delta":{"tool_calls":[BAD]}}]}\n\ndata: [DONE]\n\n',
        b'data: {"error":BAD}\n\n',
        b"event: error\ndata: BAD\n\n",
        b"data: BAD\ndata: BAD\n\n",
        b'{"choices":[{"message":{"content":BAD},"finish_reason":"stop"}]}',
        b'{"error":BAD}',
        b"BAD",
    ],
)
@pytest.mark.parametrize("status", [200, 500])
def test_nothing_that_a_server_says_ends_the_load_worker(
    form: bytes, bad: bytes, status: int
) -> None:
    answer = answered(form.replace(b"BAD", bad), status=status)
    assert answer.failure is not None or answer.text


@pytest.mark.parametrize(
    ("first", "second"), [(b"\xc3", b"\xa9"), (rb"\ud83d", rb"\ude00")], ids=["bytes", "pair"]
)
def test_a_character_that_was_cut_between_two_tokens_loses_none_of_them(
    first: bytes, second: bytes
) -> None:
    events = [
        b'data: {"choices":[{"delta":{"content":"caf%b"}}]}\n\n' % first,
        b'data: {"choices":[{"delta":{"content":"%b!"}}]}\n\n' % second,
        b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n',
    ]
    answer = answered(b"".join(events) + DONE)
    assert answer.failure is None
    assert len(answer.stamps) == 2
    assert answer.text.startswith("caf")
    assert answer.text.endswith("!")
