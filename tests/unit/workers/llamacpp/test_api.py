"""The HTTP API over a scheduler that answers by script."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")

from _shared.grammar_making.here import made_here
from _shared.grammar_making.tasks import GrammarTask
from _shared.grammars.machine import Machine
from llamacpp.server.generation import Generation, GenerationFailure, StepOutput
from llamacpp.server.sampling import TokenLogprob
from llmops_cli.core.spec import MODEL_DIGEST
from llmops_cli.deploy.monitoring.metric_names import OF_ENGINE_BOARDS
from tests.unit.workers.llamacpp.asking import (
    CHAT,
    COMPLETIONS,
    ScriptedScheduler,
    app_over,
    ask,
    chat,
    two_words,
)
from tests.unit.workers.llamacpp.vocabulary import ByteVocabulary, NumberedVocabulary


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nowhere", 404), ("GET", COMPLETIONS, 405), ("POST", "/health", 405)],
)
def test_what_is_not_served_is_refused(method: str, path: str, status: int) -> None:
    reply = ask(method, path)
    assert reply.status == status
    assert reply.body["error"]["message"] == f"no {method} {path} here"


def test_a_scheduler_that_has_ended_is_unhealthy() -> None:
    assert ask("GET", "/health").body == {"status": "ok"}
    dead = ScriptedScheduler(two_words)
    dead.alive = False
    assert ask("GET", "/health", scheduler=dead).status == 503


def test_adapters_are_models() -> None:
    assert [entry["id"] for entry in ask("GET", "/v1/models").body["data"]] == ["m", "lora"]


def test_metrics_have_the_names_that_telemetry_reads() -> None:
    text = b"".join(ask("GET", "/metrics").parts).decode()
    for line in ("llmops_running 1.0", "llmops_kv_use 0.25", "llmops_steps_total 3.0"):
        assert line in text.splitlines()
    for name in OF_ENGINE_BOARDS:
        assert "gpu" in name or f"\n{name}" in text, name


def test_the_model_alone_has_the_digest_that_its_starter_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(MODEL_DIGEST, f"sha256:{'0123456789abcdef' * 4}")
    model, adapter = ask("GET", "/v1/models").body["data"]
    assert model["digest"] == "0123456789ab"
    assert "digest" not in adapter


@pytest.mark.parametrize(
    ("body", "tokens"),
    [
        ({"content": "5 6"}, [1, 5, 6]),
        ({"prompt": "5 6", "add_special_tokens": False}, [5, 6]),
        (chat(), [1, 5, 6]),
    ],
)
def test_tokens_of_text_and_messages(body: dict[str, object], tokens: list[int]) -> None:
    assert ask("POST", "/tokenize", body).body["tokens"] == tokens


def test_a_whole_answer_joins_its_steps() -> None:
    body = ask("POST", CHAT, chat(n=2, logprobs=True)).body
    assert [choice["index"] for choice in body["choices"]] == [0, 1]
    first = body["choices"][0]
    assert first["message"] == {"role": "assistant", "content": "one two"}
    assert first["finish_reason"] == "stop"
    assert [entry["token"] for entry in first["logprobs"]["content"]] == ["2 "]
    assert body["usage"]["prompt_tokens"] == 3  # the choices share their prompt
    assert body["usage"]["completion_tokens"] == 4


def test_a_stream_has_the_role_first_and_the_usage_last() -> None:
    reply = ask("POST", CHAT, chat(stream=True, stream_options={"include_usage": True}))
    events = reply.events
    deltas = [event["choices"][0]["delta"] for event in events[:-1]]
    assert deltas == [
        {"role": "assistant", "content": ""},
        {"content": "one "},
        {"content": "two"},
        {},
    ]
    assert events[-1]["usage"]["total_tokens"] == 5
    assert len(reply.parts) == 1  # what has arrived meanwhile is one write


def test_completions_stream_text() -> None:
    reply = ask("POST", COMPLETIONS, {"prompt": [5, 6], "stream": True, "logprobs": 1})
    choices = [event["choices"][0] for event in reply.events]
    assert [choice["text"] for choice in choices] == ["one ", "two", ""]
    assert choices[0]["logprobs"]["top_logprobs"] == [{"2 ": -0.5}]
    assert [choice["finish_reason"] for choice in choices] == [None, None, "stop"]


def test_each_choice_of_a_seeded_request_has_its_own_seed() -> None:
    scheduler = ScriptedScheduler(two_words)
    ask("POST", CHAT, chat(n=3, seed=5, model="lora"), scheduler=scheduler)
    assert [generation.params.seed for generation in scheduler.submitted] == [5, 6, 7]
    assert {generation.adapter for generation in scheduler.submitted} == {1}
    assert all(generation.cancelled for generation in scheduler.submitted)


@pytest.mark.parametrize(("limit", "most"), [(None, 17), (5, 5), (99, 17)])
def test_an_answer_is_at_most_what_the_context_leaves(limit: int | None, most: int) -> None:
    scheduler = ScriptedScheduler(two_words)
    ask("POST", CHAT, chat(max_tokens=limit), scheduler=scheduler)
    assert scheduler.submitted[0].max_tokens == most


@pytest.mark.parametrize(
    ("path", "body", "status", "kind"),
    [
        (CHAT, chat(model="other"), 404, "model_not_found"),
        (CHAT, chat(messages=[]), 400, "invalid_request_error"),
        (COMPLETIONS, {"prompt": [[]]}, 400, "invalid_request_error"),
        (COMPLETIONS, {"prompt": [99]}, 400, "invalid_request_error"),
        (COMPLETIONS, {"prompt": [5], "n": 3, "best_of": 2}, 400, "invalid_request_error"),
        (COMPLETIONS, {"prompt": [5], "best_of": 2, "stream": True}, 400, "invalid_request_error"),
        (COMPLETIONS, {"prompt": [5], "suffix": "6", "echo": True}, 400, "invalid_request_error"),
        (COMPLETIONS, {"prompt": [5] * 20}, 400, "context_length_exceeded"),
        (CHAT, chat(max_tokens=0), 400, "invalid_request_error"),
        (COMPLETIONS, b"x" * (33 << 20), 413, "invalid_request_error"),
    ],
)
def test_a_request_that_cannot_be_served_says_why(
    path: str, body: object, status: int, kind: str
) -> None:
    reply = ask("POST", path, body)
    assert reply.status == status
    assert reply.body["error"]["type"] == kind
    assert reply.body["error"]["code"] == status


class NeverAsked(NumberedVocabulary):
    """Nothing is made of a request that there is no room for."""

    def tokenize(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        raise AssertionError(text)


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        (COMPLETIONS, {"prompt": [[5]] * 40_000, "n": 128}, "prompt"),
        (COMPLETIONS, {"prompt": ["5"] * 9}, "prompt"),
        (COMPLETIONS, {"prompt": ["5"] * 5, "n": 2}, "prompt"),
        (COMPLETIONS, {"prompt": "5", "best_of": 9}, "n"),
        (COMPLETIONS, {"prompt": [5], "n": 128}, "n"),
        (CHAT, chat(n=9), "n"),
    ],
    ids=["many", "prompts", "prompts and choices", "best of", "choices", "chat"],
)
def test_more_answers_than_there_is_ever_room_for_are_refused(
    path: str, body: dict[str, object], param: str
) -> None:
    """To come again would not help, and to make them all first would take all memory."""
    scheduler = ScriptedScheduler(two_words)
    reply = ask("POST", path, body, scheduler=scheduler, vocabulary=NeverAsked())
    assert (reply.status, reply.body["error"]["param"]) == (400, param)
    assert "this server takes 8" in reply.body["error"]["message"]
    assert scheduler.submitted == []


@pytest.mark.parametrize(
    ("path", "body", "is_served"),
    [
        (COMPLETIONS, {"prompt": [5] * 9_000, "logprobs": 20, "echo": True}, True),
        (COMPLETIONS, {"prompt": [[5] * 9_000] * 8, "logprobs": 20, "echo": True}, True),
        (COMPLETIONS, {"prompt": [[5] * 13_000] * 8, "logprobs": 20, "echo": True}, False),
        (COMPLETIONS, {"prompt": [5], "n": 8, "max_tokens": 13_000, "logprobs": 20}, False),
        (COMPLETIONS, {"prompt": [5], "n": 8, "max_tokens": 13_000}, True),
        (CHAT, chat(n=8, max_tokens=13_000, logprobs=True, top_logprobs=20), False),
        (CHAT, chat(n=8, max_tokens=13_000, logprobs=True, top_logprobs=20, stream=True), True),
    ],
)
def test_more_log_probabilities_than_memory_holds_are_refused(
    path: str, body: dict[str, object], is_served: bool
) -> None:
    reply = ask("POST", path, body, context=14_000)
    assert (reply.status == 200) == is_served
    if not is_served:
        assert reply.body["error"]["param"] == "logprobs"


@pytest.mark.parametrize(
    ("fields", "most"),
    [
        ({"top_logprobs": 20}, 2_000_000 // 21),
        ({"top_logprobs": 20, "n": 8}, 2_000_000 // (8 * 21)),
        ({"top_logprobs": 20, "stream": True}, 131_072 - 3),
        ({"top_logprobs": 5}, 131_072 - 3),
        ({"top_logprobs": 20, "max_tokens": 90_000}, 90_000),
    ],
    ids=["long", "several", "stream", "few", "asked"],
)
def test_room_that_nobody_asked_for_is_no_reason_to_refuse(
    fields: dict[str, object], most: int
) -> None:
    scheduler = ScriptedScheduler(two_words)
    body = chat(logprobs=True, **fields)
    reply = ask("POST", CHAT, body, scheduler=scheduler, context=131_072)
    assert reply.status == 200
    assert {generation.max_tokens for generation in scheduler.submitted} == {most}


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_who_asks_for_too_many_log_probabilities_is_told_the_way_out(field: str) -> None:
    body = chat(logprobs=True, top_logprobs=20, **{field: 100_000})
    reply = ask("POST", CHAT, body, context=131_072)
    assert reply.status == 400
    assert f"give a smaller {field}, or stream" in reply.body["error"]["message"]


def test_a_full_queue_says_when_to_come_again() -> None:
    reply = ask("POST", CHAT, chat(), scheduler=ScriptedScheduler(two_words, full=True))
    assert reply.status == 429
    assert reply.headers[b"retry-after"] == b"7"


@pytest.mark.parametrize(("clients", "status"), [(True, 400), (False, 500)])
@pytest.mark.parametrize("stream", [True, False])
def test_a_failure_before_the_first_byte_is_a_status(
    clients: bool, status: int, stream: bool
) -> None:
    failure = GenerationFailure("no grammar", is_clients_fault=clients)

    def fails(generation: Generation) -> list[StepOutput]:
        return [StepOutput(generation, "", [], finish="error", failure=failure)]

    reply = ask("POST", CHAT, chat(stream=stream), script=fails)
    assert reply.status == status
    assert reply.body["error"]["message"] == "no grammar"
    assert reply.body["error"]["type"] == ("invalid_request_error" if clients else "server_error")


def test_a_later_failure_is_an_event_of_the_stream() -> None:
    failure = GenerationFailure("the engine broke")

    def breaks(generation: Generation) -> list[StepOutput]:
        return [
            StepOutput(generation, "one ", []),
            StepOutput(generation, "", [], finish="error", failure=failure),
        ]

    events = ask("POST", COMPLETIONS, {"prompt": "5", "stream": True}, script=breaks).events
    assert events[-1] == {"error": {"message": "the engine broke"}}


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_ends_its_generation(stream: bool) -> None:
    scheduler = ScriptedScheduler(lambda _: [])
    reply = ask("POST", CHAT, chat(stream=stream), scheduler=scheduler, leaves=True)
    assert reply.status is None
    assert scheduler.submitted[0].cancelled


def test_a_client_that_leaves_waits_for_no_grammar() -> None:
    may_go_on = threading.Event()

    def slow(task: GrammarTask) -> Machine:
        assert may_go_on.wait(10)
        return made_here(task)

    scheduler = ScriptedScheduler(two_words)
    going = threading.Timer(5, may_go_on.set)
    going.start()
    body = chat(response_format={"type": "json_object"})
    reply = ask("POST", CHAT, body, scheduler=scheduler, leaves=True, make=slow)
    has_waited = may_go_on.is_set()
    may_go_on.set()
    going.cancel()
    assert reply.status is None
    assert not has_waited
    assert scheduler.submitted == []


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"top_p": 5}, "top_p"),
        ({"top_k": -5}, "top_k"),
        ({"top_k": 1 << 40}, "top_k"),
        ({"temperature": 2.1}, "temperature"),
        ({"logit_bias": {"the": 1}}, "logit_bias"),
        ({"grammar": 'root ::= "a"', "response_format": {"type": "json_object"}}, "grammar"),
        ({"tool_choice": {"type": "allowed_tools"}}, "tool_choice"),
        ({"repetition_penalty": 0}, "repetition_penalty"),
        ({"repetition_penalty": 1e30}, "repetition_penalty"),
        ({"seed": 1 << 70}, "seed"),
        ({"n": 0}, "n"),
        ({"logit_bias": {"5": 1000}}, "logit_bias"),
        ({"logit_bias": {"99": 1}}, "logit_bias"),
        ({"stop": ["x"] * 17}, "stop"),
        ({"stop": [5]}, "stop"),
        ({"grammar": "root ::= ("}, "grammar"),
        ({"response_format": {"type": "xml"}}, "response_format"),
    ],
    ids=str,
)
def test_a_value_that_makes_no_sense_is_refused_by_the_name_of_its_field(
    fields: dict[str, object], param: str
) -> None:
    reply = ask("POST", CHAT, chat(**fields))
    assert reply.status == 400
    assert reply.body["error"]["param"] == param


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ((b"content-length", b"40000000"), 413),
        ((b"content-length", b"9" * 6000), 413),
        ((b"x-long", b"a" * 200_000), 431),
    ],
    ids=["a long body", "a longer one", "a long header"],
)
def test_what_the_head_tells_is_refused_before_the_body_comes(
    header: tuple[bytes, bytes], status: int
) -> None:
    app = app_over(ScriptedScheduler(two_words), vocabulary=NumberedVocabulary(), context=20)
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        raise AssertionError

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": COMPLETIONS, "headers": [header]}
    asyncio.run(app(scope, receive, send))
    assert sent[0]["status"] == status


def test_one_model_can_be_asked_for() -> None:
    assert ask("GET", "/v1/models/lora").body["id"] == "lora"
    missing = ask("GET", "/v1/models/other")
    assert missing.status == 404
    assert missing.body["error"]["type"] == "model_not_found"


@pytest.mark.parametrize("path", ["/health", "/v1/models", "/v1/models/m"])
def test_a_head_is_answered_like_a_get(path: str) -> None:
    assert ask("HEAD", path).status == 200


def scored(generation: Generation) -> list[StepOutput]:
    generation.prompt_logprobs = [TokenLogprob(5, -1.5, [(5, -1.5)])]
    return two_words(generation)


@pytest.mark.parametrize("stream", [False, True])
def test_an_echo_repeats_the_prompt_with_what_its_tokens_are_worth(stream: bool) -> None:
    body = {"prompt": [1, 5], "echo": True, "logprobs": 1, "max_tokens": 0, "stream": stream}
    scheduler = ScriptedScheduler(scored)
    reply = ask("POST", COMPLETIONS, body, scheduler=scheduler)
    choice = reply.events[0]["choices"][0] if stream else reply.body["choices"][0]
    assert choice["text"].startswith("1 5 ")
    assert choice["logprobs"]["tokens"][:2] == ["1 ", "5 "]
    assert choice["logprobs"]["token_logprobs"][:2] == [None, -1.5]
    assert choice["logprobs"]["top_logprobs"][:2] == [None, {"5 ": -1.5}]
    assert choice["logprobs"]["text_offset"][:2] == [0, 2]
    assert scheduler.submitted[0].max_tokens == 0
    assert scheduler.submitted[0].scores_prompt


def test_an_echo_of_a_text_is_that_text() -> None:
    body = ask("POST", COMPLETIONS, {"prompt": ["5  6", "7"], "echo": True}).body
    assert [choice["text"] for choice in body["choices"]] == ["5  6one two", "7one two"]


def worth_its_number(generation: Generation) -> list[StepOutput]:
    logprob = TokenLogprob(2, -1.0 / (1 + generation.index), [])
    return [StepOutput(generation, f"c{generation.index}", [logprob], finish="stop")]


def test_the_best_of_several_are_the_likeliest() -> None:
    body = {"prompt": ["5", "6"], "n": 2, "best_of": 4}
    reply = ask("POST", COMPLETIONS, body, script=worth_its_number).body
    assert [choice["text"] for choice in reply["choices"]] == ["c3", "c2", "c7", "c6"]
    assert [choice["index"] for choice in reply["choices"]] == [0, 1, 2, 3]
    assert reply["choices"][0]["logprobs"] is None


def test_what_is_to_be_filled_in_stands_between_the_models_own_marks() -> None:
    scheduler = ScriptedScheduler(two_words)
    ask("POST", COMPLETIONS, {"prompt": "5", "suffix": "6 7"}, scheduler=scheduler)
    assert scheduler.submitted[0].tokens == [40, 1, 5, 41, 6, 7, 42]
    refused = ask("POST", COMPLETIONS, {"prompt": "5", "suffix": "6"}, vocabulary=ByteVocabulary())
    assert refused.body["error"]["param"] == "suffix"
