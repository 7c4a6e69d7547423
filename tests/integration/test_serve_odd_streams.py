"""What odd streams cost and how they ended: the audit log against the script of the upstream."""

from __future__ import annotations

import concurrent.futures
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Any, NamedTuple

import pytest

from tests.gateway import Starter
from tests.raw import DONE, END, STREAM, Hang, RawUpstream, chunk, delta, event, head, stream

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

CHAT = "/v1/chat/completions"
RESPONSES = "/v1/responses"
WORDS = [f" w{number}" for number in range(10)]
USAGE = {"prompt_tokens": 100, "completion_tokens": 7, "total_tokens": 107}
ONE = {"token": "w", "logprob": -1.0, "bytes": [119]}
LOGPROBS = {"content": [{**ONE, "top_logprobs": [ONE] * 5}]}


class Odd(NamedTuple):
    """`pieces`: what is sent before the connection ends, or (`hangs`) does not. `costs`: tokens of
    the prompt, where they were told, and of the answer.
    """

    pieces: bytes
    costs: tuple[int | None, int]
    ended: str
    path: str = CHAT
    dialect: str = "openai"
    hangs: bool = False


def said(**more: object) -> list[bytes]:
    """Ten words of one token each."""
    chunks = [delta(word) for word in WORDS]
    return [event({**each, "choices": [{**each["choices"][0], **more}]}) for each in chunks]


def counted(usage: object) -> bytes:
    return event({**delta(None), "choices": [], "usage": usage})


def open_ended(*events: bytes) -> bytes:
    """Chunks without the last one of HTTP."""
    return STREAM + b"".join(map(chunk, events))


def closed(*events: bytes) -> bytes:
    """An answer that ends with its connection."""
    return head(200, "Content-Type: text/event-stream", "Connection: close") + b"".join(events)


def named(kind: str, **fields: object) -> bytes:
    return b"event: %b\n" % kind.encode() + event({"type": kind, **fields})


FINISH = event(delta(None, "stop"))
STARTED = named("message_start", message={"id": "m", "model": "q", "usage": {"input_tokens": 100}})
BLOCK = named("content_block_start", index=0, content_block={"type": "text", "text": ""})
TEXTS = [
    named("content_block_delta", index=0, delta={"type": "text_delta", "text": word})
    for word in WORDS
]
MESSAGE_ENDS = [
    named("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 7}),
    named("message_stop"),
]
DELTAS = [named("response.output_text.delta", delta=word) for word in WORDS]
RESPONSE_USAGE = {"input_tokens": 100, "output_tokens": 7}
COMPLETED = named("response.completed", response={"usage": RESPONSE_USAGE})
BOOM = {"message": "boom", "code": "server_error"}

ODD = {
    # Nobody counts, and the last event is unlike the others.
    "logprobs": Odd(stream(*said(logprobs=LOGPROBS), FINISH, DONE), (None, 10), "ok"),
    "an empty count": Odd(stream(*said(), FINISH, counted({}), DONE), (None, 10), "ok"),
    "a last word with its end": Odd(
        stream(*said(), event(delta(".", "stop")), DONE), (None, 11), "ok"
    ),
    # Counts of other types, or of before there was a word.
    "details of PHP": Odd(
        stream(*said(), FINISH, counted({**USAGE, "prompt_tokens_details": []}), DONE),
        (100, 7),
        "ok",
    ),
    "a count at the beginning": Odd(
        stream(
            event({**delta(""), "usage": {"prompt_tokens": 100, "completion_tokens": 0}}),
            *said(),
            FINISH,
            DONE,
        ),
        (100, 11),
        "ok",
    ),
    "a message that is cut": Odd(
        closed(STARTED, BLOCK, *TEXTS), (100, 11), "broken", dialect="anthropic"
    ),
    # All was said, however the connection ends.
    "cut behind its end": Odd(open_ended(*said(), FINISH, counted(USAGE), DONE), (100, 7), "ok"),
    "open behind its end": Odd(
        open_ended(*said(), FINISH, counted(USAGE), DONE), (100, 7), "ok", hangs=True
    ),
    "a message cut behind its end": Odd(
        open_ended(STARTED, BLOCK, *TEXTS, *MESSAGE_ENDS), (100, 7), "ok", dialect="anthropic"
    ),
    "a response cut behind its end": Odd(
        open_ended(*DELTAS, COMPLETED), (100, 7), "ok", path=RESPONSES
    ),
    "a response cut in its last event": Odd(
        open_ended(*DELTAS, COMPLETED[:-20]), (None, 10), "broken", path=RESPONSES
    ),
    # Not all was said.
    "reasons without a word": Odd(closed(*said(finish_reason="")), (None, 10), "broken"),
    "no choices": Odd(stream(DONE), (None, 0), "broken"),
    "an event's name": Odd(
        stream(*said(), b'event: error\ndata: {"message":"boom"}\n\n', DONE), (None, 10), "broken"
    ),
    "an older server's error": Odd(
        stream(*said(), event({"object": "error", "message": "boom", "code": 500}), DONE),
        (None, 10),
        "broken",
    ),
    "a response that failed": Odd(
        stream(*DELTAS, named("response.failed", response={"usage": None, "error": BOOM})),
        (None, 10),
        "broken",
        path=RESPONSES,
    ),
    "a response's error": Odd(
        stream(*DELTAS, named("error", **BOOM)), (None, 10), "broken", path=RESPONSES
    ),
}


def scripted(odd: Odd) -> RawUpstream:
    def answer(_: object) -> Iterator[bytes]:
        yield odd.pieces
        if odd.hangs:
            raise Hang

    upstream = RawUpstream(answer)
    upstream.hangs_up = True
    return upstream


def body(name: str, path: str) -> dict[str, Any]:
    asked: dict[str, Any] = {"model": name, "stream": True}
    if path == CHAT:
        return {**asked, "messages": [{"role": "user", "content": "Hi"}]}
    return {**asked, "input": "Hi"}


@pytest.mark.parametrize("guard", ["", "guard: default\n"], ids=["plain", "guarded"])
def test_the_audit_tells_what_was_said(start: Starter, guard: str) -> None:
    with ExitStack() as stack:
        ups = {name: stack.enter_context(closing(scripted(odd))) for name, odd in ODD.items()}
        upstreams = {
            name: {
                "url": ups[name].url.removesuffix("/v1" if odd.dialect == "anthropic" else ""),
                "dialect": odd.dialect,
            }
            for name, odd in ODD.items()
        }
        models = {name: {"pool": [name]} for name in ODD}
        file = {"upstreams": upstreams, "models": models, "retries": {"most": 0}}
        text = "\n".join(f"{name}: {json.dumps(section)}" for name, section in file.items())
        gateway = start.config(f"{text}\n{guard}")
        begun = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            jobs = {
                name: pool.submit(gateway.ask, body(name, odd.path), path=odd.path)
                for name, odd in ODD.items()
            }
            answers = {name: job.result()[2] for name, job in jobs.items()}
        took_s = time.monotonic() - begun
        lines = {line["model"]: line for line in gateway.audited(len(ODD))}
    for name, odd in ODD.items():
        line = lines[name]
        found = (line.get("input_tokens"), line.get("output_tokens") or 0, line["ended"])
        prompt = found[0] if odd.costs[0] is None else odd.costs[0]
        assert found == (prompt, odd.costs[1], odd.ended), name
        assert odd.ended == "broken" or b"upstream_error" not in answers[name], name
    assert took_s < 15, "an end that does not come is not waited for"


def test_clients_own_mistakes_amid_a_response_count_against_nobody(start: Starter) -> None:
    """Told behind a status of 200: the image that a client has sent is none."""
    bad = named("response.failed", response={"error": {"code": "invalid_image", "message": "m"}})
    with closing(RawUpstream(lambda _: [stream(*DELTAS, bad)])) as upstream:
        gateway = start(upstream.url)
        for _ in range(8):
            status, _, answer = gateway.ask(body("m", RESPONSES), path=RESPONSES)
            assert status == 200
            assert b"invalid_image" in answer
        assert {line["ended"] for line in gateway.audited(8)} == {"broken"}
        upstream.answer = lambda _: [STREAM + chunk(COMPLETED) + END]
        assert gateway.ask(body("m", RESPONSES), path=RESPONSES)[0] == 200
