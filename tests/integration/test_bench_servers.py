"""Load tests of servers that answer otherwise than most."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Cli
from tests.raw import (
    DONE,
    END,
    STREAM,
    Answer,
    Asked,
    RawUpstream,
    chunk,
    delta,
    event,
    stream,
    whole,
)

FEW = ("--concurrency", "1", "--requests", "4", "--output-tokens", "3", "--warmup", "1")
Json = dict[str, Any]


@pytest.fixture
def serving() -> Iterator[Callable[[Answer], RawUpstream]]:
    made: list[RawUpstream] = []

    def start(answer: Answer) -> RawUpstream:
        made.append(RawUpstream(answer))
        return made[-1]

    yield start
    for server in made:
        server.close()


def level_of(folder: Path) -> Json:
    (level,) = json.loads((folder / "report.json").read_text())["levels"]
    return dict(level)


def messages_of(asked: Asked) -> list[Json]:
    """None of a question for a count of tokens."""
    return list(asked.json().get("messages", ()))


def usage(**details: int) -> bytes:
    told: Json = {"prompt_tokens": 5, "completion_tokens": 43, "completion_tokens_details": details}
    return event({"choices": [], "usage": told})


def test_a_server_that_does_not_stream_has_no_ttft(
    cli: Cli, tmp_path: Path, serving: Callable[[Answer], RawUpstream]
) -> None:
    choice = {"message": {"role": "assistant", "content": "Yes."}, "finish_reason": "stop"}
    body = {"choices": [choice], "usage": {"prompt_tokens": 5, "completion_tokens": 3}}
    server = serving(lambda _: [whole(body)])
    run = cli(
        "bench",
        "--url",
        server.url,
        *FEW,
        "--body",
        "stream=false",
        "--body",
        "stream_options=null",
        "--slo",
        "ttft_p50=10s",
        "-o",
        "run",
    )
    assert run.returncode == 0, run.stderr
    level = level_of(tmp_path / "run")
    assert (level["ttft_ms"]["count"], level["tpot_ms"]["count"]) == (0, 0)
    assert level["e2e_ms"]["p50"] > 0
    assert level["output_tokens"] == 3 * level["measured"] > 0
    assert level["slos"][0]["share"] == 0
    assert "their TTFT and TPOT are not measured" in run.stdout
    sent = server.seen[-1].json()
    assert sent["stream"] is False
    assert "stream_options" not in sent


def test_thoughts_are_counted_apart_and_not_sent_back(
    cli: Cli, tmp_path: Path, serving: Callable[[Answer], RawUpstream]
) -> None:
    thought = {
        "choices": [
            {
                "index": 0,
                "delta": {
                    "content": [
                        {"type": "thinking", "thinking": [{"type": "text", "text": "Secretly."}]}
                    ]
                },
            }
        ]
    }

    def answer(asked: Asked) -> Iterable[bytes]:
        aloud = b"" if len(messages_of(asked)) > 1 else event(thought)
        said = (event(delta("One")), event(delta(" two")), event(delta(None, "stop")))
        return [stream(*filter(None, (aloud, *said, usage(reasoning_tokens=40), DONE)))]

    server = serving(answer)
    run = cli("bench", "--url", server.url, *FEW, "--turns", "2", "-o", "run")
    assert run.returncode == 0, run.stderr
    talks = [messages_of(asked) for asked in server.seen]
    second = next(talk for talk in talks if len(talk) == 3)
    assert second[1] == {"role": "assistant", "content": "One two"}
    level = level_of(tmp_path / "run")
    assert 0 < level["hidden_tokens"] < level["output_tokens"]
    assert level["hidden_tokens"] % 40 == 0
    assert "were thought and not sent" in run.stdout
    assert "longer than the max_tokens" in run.stdout


def test_what_was_thought_beside_the_answer_is_counted_once(
    cli: Cli, tmp_path: Path, serving: Callable[[Answer], RawUpstream]
) -> None:
    """Some servers count it in the sum alone, and not in completion_tokens."""
    told: Json = {
        "prompt_tokens": 5,
        "completion_tokens": 3,
        "total_tokens": 48,
        "completion_tokens_details": {"reasoning_tokens": 40},
    }
    usage = event({"choices": [], "usage": told})

    def answer(_: Asked) -> Iterable[bytes]:
        yield STREAM + chunk(event(delta("One")))
        time.sleep(0.02)
        yield chunk(event(delta(" two", "stop")) + usage + DONE) + END

    run = cli("bench", "--url", serving(answer).url, *FEW, "-o", "run")
    assert run.returncode == 0, run.stderr
    level = level_of(tmp_path / "run")
    answers = level["measured"]
    assert (level["output_tokens"], level["hidden_tokens"]) == (43 * answers, 40 * answers)
    assert level["tpot_ms"]["count"] == answers
    assert 10 <= level["tpot_ms"]["p50"] < 200


def test_a_server_that_counts_no_tokens_has_its_chunks_counted(
    cli: Cli, tmp_path: Path, serving: Callable[[Answer], RawUpstream]
) -> None:
    usage = event({"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 0}})
    said = (event(delta("One")), event(delta(" two", "stop")))
    server = serving(lambda _: [stream(*said, usage, DONE)])
    run = cli("bench", "--url", server.url, *FEW, "-o", "run")
    assert run.returncode == 0, run.stderr
    level = level_of(tmp_path / "run")
    assert level["output_tokens"] == 2 * level["measured"] > 0
    assert "output tokens are counted chunks" in run.stdout


def test_messages_reach_an_api_of_prompts_as_their_texts(
    cli: Cli, tmp_path: Path, serving: Callable[[Answer], RawUpstream]
) -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    parts = [{"type": "text", "text": "It is "}, {"type": "text", "text": "5."}]
    rows = [
        {"role": "user", "content": "What?"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "assistant", "content": None},
        {"role": "tool", "tool_call_id": "1", "content": parts},
        {"role": "user", "content": "Thanks."},
    ]
    (tmp_path / "talk.jsonl").write_text(json.dumps({"messages": rows}) + "\n")
    body = {"choices": [{"index": 0, "text": "Yes.", "finish_reason": "stop"}]}
    server = serving(lambda _: [whole(body)])
    asked = ("--api", "completions", "--dataset", "talk.jsonl", "--warm-cache")
    run = cli("bench", "--url", server.url, *FEW, *asked, "-o", "run")
    assert run.returncode == 0, run.stderr
    assert server.seen[-1].json()["prompt"] == "What?\nIt is 5.\nThanks."


def test_a_trace_ends_with_its_rows_however_many_were_asked_for(
    cli: Cli, tmp_path: Path, serving: Callable[[Answer], RawUpstream]
) -> None:
    rows = [{"timestamp": 20 * at, "input_length": 20, "output_length": 1} for at in range(5)]
    (tmp_path / "trace.jsonl").write_text("\n".join(map(json.dumps, rows)))
    server = serving(lambda _: [stream(event(delta("Hi", "stop")), DONE)])
    args = ("bench", "--url", server.url, "--trace", "trace.jsonl", "--warmup", "0")
    run = cli(*args, "--requests", "300", "-o", "run")
    assert run.returncode == 0, run.stderr
    level = level_of(tmp_path / "run")
    assert (level["requests"], level["errors"]) == (5, 0)
    assert "trace.jsonl has 5 requests, fewer than --requests 300" in run.stdout
    few = cli(*args, "--requests", "2", "-o", "few")
    assert few.returncode == 0, few.stderr
    assert level_of(tmp_path / "few")["requests"] == 2


def test_several_choices_in_one_answer_are_refused(
    cli: Cli, serving: Callable[[Answer], RawUpstream]
) -> None:
    server = serving(lambda _: [stream(event(delta("Hi", "stop")), DONE)])
    run = cli("bench", "--url", server.url, *FEW, "--body", "n=2")
    assert run.returncode == 2
    assert "--body n: the times of several choices" in run.stderr
    assert server.seen == []


@pytest.mark.parametrize("size", [b"-6", b"0x5", b""], ids=["below 0", "of C", "none"])
def test_a_chunk_of_a_senseless_size_ends_its_request(
    cli: Cli, tmp_path: Path, serving: Callable[[Answer], RawUpstream], size: bytes
) -> None:
    server = serving(lambda _: [STREAM + size + b"\r\nhello\r\n"])
    (tmp_path / "prompts.txt").write_text("Hello\n")  # whose tokens nobody asks for
    run = cli("bench", "--url", server.url, *FEW, "--dataset", "prompts.txt", "-o", "run")
    assert run.returncode == 5, run.stderr
    assert level_of(tmp_path / "run")["error_kinds"] == {"protocol": 4}
    assert "broken chunked encoding" in run.stdout


def test_nothing_is_guessed_where_a_server_lists_no_models(
    cli: Cli, serving: Callable[[Answer], RawUpstream]
) -> None:
    server = serving(lambda _: [whole({"detail": "Not Found"}, status=404)])
    server.lists = b'{"detail":"Not Found"}'
    run = cli("bench", "--url", server.url, *FEW)
    assert run.returncode == 2
    assert "lists no models" in run.stderr
    assert "--model NAME" in run.stderr
    assert server.seen == []


def test_a_redirect_is_named_with_its_place(
    cli: Cli, serving: Callable[[Answer], RawUpstream]
) -> None:
    place = "Location: https://there.example/v1/chat/completions"
    server = serving(lambda _: [whole(b"", place, status=308)])
    run = cli("bench", "--url", server.url, *FEW)
    assert run.returncode == 4
    assert "HTTP 308: moved to https://there.example/v1/chat/completions" in run.stderr
    assert "--api (completions for a model without a chat template)" in run.stderr


def test_a_path_with_a_query_and_a_key_from_outside(
    cli: Cli, tmp_path: Path, serving: Callable[[Answer], RawUpstream]
) -> None:
    server = serving(lambda asked: [stream(event(delta("Hi", "stop")), DONE)])
    path = "/openai/deployments/m/chat/completions?api-version=2024-10-21&key=$MY_KEY"
    args = ("bench", "--url", server.url, "--model", "m", "--path", path, *FEW, "-o", "run")
    run = cli(*args, env={"MY_KEY": "very-secret-1"})
    assert run.returncode == 0, run.stderr
    assert server.seen[-1].target == path.replace("$MY_KEY", "very-secret-1")
    for file in (tmp_path / "run").iterdir():
        assert "very-secret" not in file.read_text(errors="replace"), file
    literal = path.replace("$MY_KEY", "very-secret-1")
    refused = cli("bench", "--url", server.url, "--model", "m", "--path", literal, *FEW)
    assert refused.returncode == 2
    assert "would be saved in the report" in refused.stderr
    unset = cli(*args[:-1], "other")
    assert unset.returncode == 3
    assert "MY_KEY is not set" in unset.stderr


def test_too_many_failures_are_an_invalid_run_or_its_end(
    cli: Cli, tmp_path: Path, serving: Callable[[Answer], RawUpstream]
) -> None:
    def answer(asked: Asked) -> Iterable[bytes]:
        if len(server.seen) % 4 == 0:
            return [stream(event({"object": "error", "message": "KV cache is full"}))]
        if len(server.seen) % 4 == 1:
            return [stream(event(delta("Hal")), event(delta(None, "abort")), DONE)]
        return [stream(event(delta("Hi", "stop")), DONE)]

    server = serving(answer)
    many = ("--concurrency", "1", "--requests", "20", "--output-tokens", "1")
    run = cli("bench", "--url", server.url, *many, "--max-error-rate", "0.1", "-o", "run")
    assert run.returncode == 5, run.stderr
    assert "--max-error-rate is 0.1" in run.stderr
    assert "KV cache is full" in run.stderr
    level = level_of(tmp_path / "run")
    assert level["error_kinds"] == {"error event": 5, "finish_reason abort": 5}
    ended = cli(
        "bench",
        "--url",
        server.url,
        "--concurrency",
        "1",
        "--duration-s",
        "60",
        "--abort-after",
        "6",
        "-o",
        "ended",
    )
    assert ended.returncode == 5
    assert "--abort-after is 6" in ended.stderr


def test_a_servers_words_move_no_cursor_and_are_no_markup(
    cli: Cli, tmp_path: Path, serving: Callable[[Answer], RawUpstream]
) -> None:
    """They stand in the table's notes, on the page and in CI's summary."""
    words = "\x1b[2J\x1b[1;1HAll fine\nthere [/bold] [red]<b>\u202e"
    server = serving(lambda _: [whole({"error": {"message": words}}, status=503)])
    run = cli("bench", "--url", server.url, *FEW, "-o", "run")
    assert run.returncode == 5, run.stderr
    level = level_of(tmp_path / "run")
    assert level["error_kinds"] == {"HTTP 503": 4}
    told = "<U+001B>[2J<U+001B>[1;1HAll fine there [/bold] [red]<b><U+202E>"
    assert any(told in note for note in level["notes"])
    for text in (run.stdout, run.stderr, (tmp_path / "run" / "records.csv").read_text()):
        assert "\x1b[2J" not in text
        assert "\u202e" not in text
    for form in ("markdown", "junit"):
        shown = cli("report", "export", "run", "--format", form)
        assert shown.returncode == 0, shown.stderr
        assert "\x1b" not in shown.stdout


def test_a_server_that_goes_while_many_requests_are_held_back(
    cli: Cli, tmp_path: Path, serving: Callable[[Answer], RawUpstream]
) -> None:
    """Each of them fails the moment that it is sent."""

    def answer(_: Asked) -> Iterable[bytes]:
        if not server.hangs_up:  # connections that were made ahead are ended at once
            time.sleep(1.5)
        server.hangs_up = True
        server.close()
        return [b""]

    server = serving(answer)
    (tmp_path / "prompts.txt").write_text("Hello\n")
    load = ("--rate", "2000", "--duration-s", "5", "--max-in-flight", "1", "--warmup", "0")
    args = ("--model", "m", "--dataset", "prompts.txt", *load, "-o", "run")
    run = cli("bench", "--url", server.url, *args)
    assert run.returncode == 4, run.stderr
    assert "the server is gone" in run.stderr
    assert level_of(tmp_path / "run")["errors"] >= 114  # from which on a server is gone


def test_a_level_of_the_default_ends_with_its_fiftieth_request(
    cli: Cli, tmp_path: Path, serving: Callable[[Answer], RawUpstream]
) -> None:
    """Of a server that is slow enough; sessions that were made ahead are none of the level."""

    def answer(_: Asked) -> Iterable[bytes]:
        time.sleep(0.07)
        return [stream(event(delta("Hi", "stop")), DONE)]

    server = serving(answer)
    args = ("--concurrency", "1", "--output-tokens", "1", "--warmup", "0", "-o", "run")
    run = cli("bench", "--url", server.url, "--model", "m", *args)
    assert run.returncode == 0, run.stderr
    level = level_of(tmp_path / "run")
    assert level["requests"] == 50
    assert level["ttft_ms"]["p95"] > 70
    assert level["ttft_ms"]["p99"] is None
    assert re.search(r"p99 needs more requests: 1\d\d more at 1 stream", run.stdout)
    assert run.stderr.count("1 stream 100%") == 1
