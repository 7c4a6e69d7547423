"""Whose fault a failure is, and what upstreams say that is no answer."""

from __future__ import annotations

import concurrent.futures
import gzip
import json
import time
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from tests.gateway import Gateway, Starter
from tests.raw import (
    DONE,
    STREAM,
    WHOLE,
    Answer,
    Asked,
    Hang,
    RawUpstream,
    chunk,
    delta,
    event,
    fine,
    head,
    says,
    stream,
    whole,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

HI: list[dict[str, Any]] = [{"role": "user", "content": "Hi"}]
HASTY = {"x-llmops-timeout-ms": "5"}


@pytest.fixture
def raws() -> Iterator[list[RawUpstream]]:
    """Two of them."""
    made = [RawUpstream(), RawUpstream()]
    yield made
    for each in made:
        each.close()


def body(model: str = "a", **more: object) -> dict[str, Any]:
    return {"model": model, "messages": HI, **more}


def config(raws: list[RawUpstream], models: str, more: str = "") -> str:
    one, two = raws
    return (
        f"upstreams:\n  one: {{url: '{one.url}'}}\n  two: {{url: '{two.url}'}}\n"
        f"models: {models}\n{more}"
    )


def begin(start: Starter, text: str) -> Gateway:
    gateway = start.config(text)
    for _ in range(100):
        if gateway.ask(None, path="/ready")[0] == 200:
            return gateway
        time.sleep(0.05)
    raise AssertionError(start.log())


def message(answer: tuple[int, dict[str, str], bytes]) -> str:
    return str(json.loads(answer[2])["error"]["message"])


def metrics(start: Starter, gateway: Gateway) -> str:
    admin = start.key(f"adm{time.monotonic_ns()}", "--role", "admin")
    time.sleep(1.1)
    return gateway.ask(None, path="/metrics", key=admin)[2].decode()


def slowly(asked: Asked) -> Iterable[bytes]:
    time.sleep(0.05)
    return fine(asked)


def halting(asked: Asked) -> Iterable[bytes]:
    """A stream that begins at once and takes its time."""
    yield STREAM + chunk(event(delta("Hello")))
    time.sleep(0.1)
    yield chunk(event(delta(None, "stop"))) + chunk(DONE) + b"0\r\n\r\n"


# -- what a client does is its own


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize(
    "model", ["{pool: [one]}", "{pool: [one], hedge_after_s: 0.01}", "{pool: [one, two]}"]
)
def test_a_client_s_own_deadline_harms_nobody_else(
    model: str, streams: bool, raws: list[RawUpstream], start: Starter
) -> None:
    for each in raws:
        each.answer = slowly
    gateway = begin(start, config(raws, f"{{a: {model}}}"))
    for _ in range(12):
        status, _, said = gateway.ask(body(stream=streams), headers=HASTY)
        assert status == 408
        assert json.loads(said)["error"]["code"] == "deadline_exceeded"
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        honest = list(pool.map(lambda _: gateway.ask(body(stream=streams))[0], range(148)))
    assert honest == [200] * 148
    shown = metrics(start, gateway)
    admin = start.key("eve", "--role", "admin")
    time.sleep(1.1)
    state = json.loads(gateway.ask(None, path="/admin/state", key=admin)[2])
    assert state["models"]["a"]["errors"] == 0
    assert {row["errors"] for row in state["upstreams"]} == {0}
    assert "llmops_gateway_upstream_errors_total{" not in shown
    assert 'llmops_gateway_breaker{upstream="one"} 0.0' in shown


def test_a_deadline_amid_a_stream_is_the_client_s_too(
    raws: list[RawUpstream], start: Starter
) -> None:
    raws[0].answer = halting
    gateway = begin(start, config(raws, "{a: {pool: [one]}}"))
    for _ in range(12):
        status, _, said = gateway.ask(body(stream=True), headers={"x-llmops-timeout-ms": "50"})
        assert (status, b"x-llmops-timeout-ms" in said) == (200, True)
    assert gateway.ask(body(stream=True))[2].endswith(DONE)
    assert "llmops_gateway_upstream_errors_total{" not in metrics(start, gateway)


def test_who_leaves_or_asks_badly_harms_nobody_else(
    raws: list[RawUpstream], start: Starter
) -> None:
    """Also where the bad request is copied to a shadow, which others use as well."""
    wrong = whole({"error": {"message": "no such field"}}, status=400)

    def picky(asked: Asked) -> Iterable[bytes]:
        return [wrong] if "seed" in asked.json() else slowly(asked)

    for each in raws:
        each.answer = picky
    models = "{a: {pool: [one], shadow: {use: [two], share: 1.0}}, b: {pool: [two]}}"
    gateway = begin(start, config(raws, models))
    for _ in range(12):
        assert gateway.ask(body(seed=1))[0] == 400
    for _ in range(12):
        _leave(gateway)
    for model in ("a", "b"):
        assert [gateway.ask(body(model))[0] for _ in range(20)] == [200] * 20
    shown = metrics(start, gateway)
    assert "llmops_gateway_upstream_errors_total{" not in shown
    assert 'llmops_gateway_breaker{upstream="two"} 0.0' in shown


def _leave(gateway: Gateway) -> None:
    """Asks, and hangs up before there can be an answer."""
    import http.client

    host = gateway.url.removeprefix("http://")
    link = http.client.HTTPConnection(host, timeout=5)
    headers = {"Authorization": f"Bearer {gateway.key}", "Content-Type": "application/json"}
    link.request("POST", "/v1/chat/completions", json.dumps(body()), headers)
    time.sleep(0.01)
    link.close()


def test_a_probe_that_its_client_ends_leaves_the_breaker_free(
    raws: list[RawUpstream], start: Starter
) -> None:
    raws[0].answer = says(whole({}, status=500))
    gateway = begin(start, config(raws, "{a: {pool: [one]}}", "retries: {most: 0}\n"))
    for _ in range(5):
        assert gateway.ask(body())[0] == 500
    assert gateway.ask(body())[0] == 503
    raws[0].answer = slowly
    time.sleep(1.4)
    for _ in range(8):
        gateway.ask(body(), headers=HASTY)
    assert [gateway.ask(body())[0] for _ in range(10)] == [200] * 10


def test_a_body_that_an_upstream_hangs_up_on_says_nothing_of_it(
    raws: list[RawUpstream], start: Starter
) -> None:
    def small_only(asked: Asked) -> Iterable[bytes]:
        raws[0].hangs_up = len(asked.body) > 1 << 20
        return [] if raws[0].hangs_up else fine(asked)

    raws[0].answer = small_only
    gateway = begin(start, config(raws, "{a: {pool: [one]}}"))
    large = [{"role": "user", "content": "x" * (2 << 20)}]
    for _ in range(6):
        assert gateway.ask({"model": "a", "messages": large})[0] == 502
    assert gateway.ask(body())[0] == 200


def fragile(asked: Asked) -> Iterable[bytes]:
    """A server that one field makes fail."""
    if "seed" in asked.json():
        return [whole({"error": {"message": "boom"}}, status=500)]
    return fine(asked)


def test_requests_that_crash_an_upstream_close_it_to_nobody_else(
    raws: list[RawUpstream], start: Starter
) -> None:
    """One client's alone, while another's are answered."""

    raws[0].answer = fragile
    gateway = begin(start, config(raws, "{a: {pool: [one]}}"))
    hostile = start.key("hostile")
    time.sleep(1.1)
    honest = []
    for _ in range(40):
        honest.append(gateway.ask(body())[0])
        for _ in range(8):
            assert gateway.ask(body(seed=1), key=hostile)[0] == 500
    assert honest == [200] * 40


def test_requests_that_crash_an_idle_upstream_close_it_to_their_client_alone(
    raws: list[RawUpstream], start: Starter
) -> None:
    """Nobody else was answered lately, so that others' next requests have to show it."""

    raws[0].answer = fragile
    gateway = begin(start, config(raws, "{a: {pool: [one]}}"))
    hostile = start.key("hostile")
    time.sleep(1.1)
    seen = [gateway.ask(body(seed=1), key=hostile)[0] for _ in range(7)]
    assert seen == [500] * 5 + [503] * 2
    for _ in range(40):
        gateway.ask(body(seed=1), key=hostile)
        assert gateway.ask(body())[0] == 200


def test_what_fails_for_two_clients_is_closed_to_all(
    raws: list[RawUpstream], start: Starter
) -> None:
    raws[0].answer = says(whole({"error": {"message": "boom"}}, status=500))
    gateway = begin(start, config(raws, "{a: {pool: [one]}}"))
    other = start.key("other")
    time.sleep(1.1)
    assert [gateway.ask(body())[0] for _ in range(6)] == [500] * 5 + [503]
    assert [gateway.ask(body(), key=other)[0] for _ in range(2)] == [500, 503]


# -- one request is sent as often as the file says


@pytest.mark.parametrize("most", [0, 1, 2])
def test_dead_kept_connections_cost_one_request_no_more_than_its_retries(
    most: int, raws: list[RawUpstream], start: Starter
) -> None:
    one = raws[0]
    one.answer = slowly
    text = config(raws, "{a: {pool: [one]}}", f"retries: {{most: {most}, budget: 1.0}}\n")
    gateway = begin(start, text)
    with concurrent.futures.ThreadPoolExecutor(53) as pool:
        assert set(pool.map(lambda _: gateway.ask(body())[0], range(53))) == {200}
    one.hangs_up = True
    one.answer = says(b"")
    before = len(one.seen)
    assert gateway.ask(body())[0] == 502
    assert len(one.seen) - before == 1 + most


TIRED = "timeouts: {connect_s: 1, first_byte_s: 0.2, between_s: 0.2, total_s: 1}"
FAILING: dict[str, bytes | None] = {
    "hangs": None,
    "hangs up": b"",
    "500": whole({"error": {}}, status=500),
    "503": whole({"error": {}}, "Retry-After: 1", status=503),
    "429": whole({"error": {}}, status=429),
    "401": whole({"error": {}}, status=401),
    "301": head(301, "Location: /", "Content-Length: 0"),
    "cut": whole(b'{"choices"'),
    "an error in a stream": stream(event({"error": "boom"})),
}


@pytest.mark.parametrize("name", FAILING)
def test_one_failing_request_is_sent_so_often_and_no_more(
    name: str, raws: list[RawUpstream], start: Starter
) -> None:
    """Over both upstreams of a pool, hedged, with a canary, streamed or not."""
    data = FAILING[name]

    def fails(asked: Asked) -> Iterable[bytes]:
        if data is None:
            raise Hang
        return [data]

    for each in raws:
        each.answer = fails
        each.hangs_up = data == b""
    models = """
  a: {pool: [one]}
  b: {pool: [one, two]}
  c: {pool: [one, two], hedge_after_s: 0.05}
  d: {pool: [one], canary: {use: [two], steps: [100]}}
"""
    text = config(raws, models, "retries: {most: 2, budget: 1.0}\n").replace("'}", f"', {TIRED}}}")
    gateway = begin(start, text)
    for model in "abcd":
        for streams in (False, True):
            before = len(raws[0].seen) + len(raws[1].seen)
            status, _, said = gateway.ask(body(model, stream=streams))
            assert status >= 429
            assert status not in (401, 301)
            assert b"error" in said
            sent = len(raws[0].seen) + len(raws[1].seen) - before
            assert sent <= 3, (model, streams, sent)


def test_a_kept_connection_that_ended_is_no_failure(
    raws: list[RawUpstream], start: Starter
) -> None:
    """Some close what they kept just as the next request comes."""
    one = raws[0]

    def once(asked: Asked) -> Iterable[bytes]:
        one.hangs_up = asked.number > 0
        return [] if one.hangs_up else fine(asked)

    one.answer = once
    gateway = begin(start, config(raws, "{a: {pool: [one]}}"))
    assert [gateway.ask(body())[0] for _ in range(30)] == [200] * 30
    assert "llmops_gateway_upstream_errors_total{" not in metrics(start, gateway)


# -- upstreams that refuse us


REFUSALS = [401, 402, 403, 404, 405, 407, 408, 410, 421, 425, 501, 520, 521, 522, 523, 524, 529]


@pytest.mark.parametrize("status", [*REFUSALS, 301, 307, 204, 201, 599])
def test_another_answers_where_one_refuses_us(
    status: int, raws: list[RawUpstream], start: Starter
) -> None:
    secret = "sk-of-ours"
    start.env["UP_KEY"] = secret
    raws[0].answer = says(
        whole(
            {"error": {"message": f"bad key {secret}"}},
            "Location: https://else.where/x?q=1",
            status=status,
        )
        if status != 204
        else head(204, "Content-Length: 0")
    )
    models = (
        "{a: {pool: [one, two]}, b: {pool: [one], fallback: [c]}, c: {pool: [two]},"
        " d: {pool: [one]}}"
    )
    text = config(raws, models).replace("one: {", "one: {key_env: UP_KEY, ")
    gateway = begin(start, text)
    for model in ("a", "b"):
        for streams in (False, True):
            answers = [gateway.ask(body(model, stream=streams)) for _ in range(4)]
            assert [each[0] for each in answers] == [200] * 4, model
    time.sleep(1.3)  # the breaker of what has failed
    answer = gateway.ask(body("d"))
    assert answer[0] in (502, 503, 529)
    assert secret not in answer[2].decode()
    assert b"error" in answer[2]
    if status in (401, 402, 403, 404):
        assert json.loads(answer[2])["error"]["code"] == "upstream_refused"
        assert f"upstream one refuses the gateway: {status}" in start.log()
        shown = metrics(start, gateway)
        assert (
            f'llmops_gateway_upstream_refusals_total{{status="{status}",upstream="one"}}' in shown
        )
        assert start.log().count("refuses the gateway") == 1
        assert 'llmops_gateway_upstream_refuses{upstream="one"} 1.0' in shown
        assert 'llmops_gateway_upstream_refuses{upstream="two"} 0.0' in shown
    if status in (301, 307):
        assert "redirects to else.where" in message(answer)
    assert "else.where" not in str([each.headers for each in raws[1].seen])


def test_a_name_that_only_the_client_knows_is_its_own_mistake(
    raws: list[RawUpstream], start: Starter
) -> None:
    """Without `models` an upstream that lists nothing may have any; each word is the client's."""
    one = raws[0]

    def knows(asked: Asked) -> Iterable[bytes]:
        if asked.json()["model"] != "m":
            return [whole({"error": {"code": "model_not_found", "message": "no"}}, status=404)]
        return fine(asked)

    one.answer = knows
    one.lists = b"{}"
    gateway = begin(start, f"upstreams: {{one: {{url: '{one.url}'}}}}\n")
    for _ in range(8):
        assert gateway.ask(body("nonsense"))[0] == 404
    assert gateway.ask(body("m"))[0] == 200
    assert "refuses the gateway" not in start.log()


# -- what is no answer


CUT = b'{"choices": [{"message": {"content": "Hel'
BOMB = gzip.compress(b"x" * (80 << 20))
GZIPPED = gzip.compress(json.dumps(WHOLE).encode())
NO_ANSWERS: dict[str, bytes] = {
    "html": whole(b"<html>Sign in</html>", kind="text/html"),
    "empty": whole(b""),
    "blank": whole(b" \n"),
    "null": whole(b"null"),
    "array": whole(b"[]"),
    "nothing": whole({}),
    "no choices": whole({"choices": []}),
    "choices of another form": whole({"choices": {"a": 1}}),
    "an error under 200": whole({"error": {"message": "boom"}}),
    "204": head(204),
    "202": whole(WHOLE, status=202),
    "cut": whole(CUT),
    "101": head(101, "Upgrade: h2c", "Connection: Upgrade"),
    "br": whole(json.dumps(WHOLE).encode(), "Content-Encoding: br"),
    "a bomb": whole(BOMB, "Content-Encoding: gzip"),
    "half a gzip": whole(GZIPPED[:-20], "Content-Encoding: gzip"),
    "no gzip": whole(WHOLE, "Content-Encoding: gzip"),
    "more than was promised": head(200, "Content-Length: 10") + json.dumps(WHOLE).encode(),
    "a second answer": whole(WHOLE) + b"and more",
    "a stream unasked": stream(event(delta("Hello")), DONE),
    "no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
    "a head without end": b"HTTP/1.1 200 OK\r\nX: " + b"x" * (1 << 20),
}


def test_what_is_no_answer_is_502_and_another_is_asked(
    raws: list[RawUpstream], start: Starter
) -> None:
    one, two = raws
    models = "{a: {pool: [one, two]}, d: {pool: [one]}}"
    # One retry is for a kept connection that `hangs_up` of the last round ended.
    gateway = begin(start, config(raws, models, "retries: {most: 2, budget: 1.0}\n"))
    for name, data in NO_ANSWERS.items():
        one.answer = says(data)
        one.hangs_up = name in ("101", "no HTTP", "more than was promised")
        before = len(two.seen)
        for _ in range(4):
            assert gateway.ask(body("a"))[0] == 200, name
        assert len(two.seen) > before, name
        answer = _until_asked(gateway, one)
        assert (answer[0], "upstream" in message(answer) or "answer" in message(answer)) == (
            502,
            True,
        ), (name, answer)
        assert len(answer[2]) < 400, name
        one.answer = fine
        one.hangs_up = False
        _until_asked(gateway, one)


def _until_asked(
    gateway: Gateway, one: RawUpstream, **more: object
) -> tuple[int, dict[str, str], bytes]:
    """The answer, once the breaker lets somebody through."""
    before = len(one.seen)
    while True:
        answer = gateway.ask(body("d", **more))
        if len(one.seen) > before:
            return answer
        time.sleep(0.02)


EMPTY_STREAM = STREAM + b"0\r\n\r\n"
NO_STREAMS: dict[str, bytes] = {
    "empty": EMPTY_STREAM,
    "an error": stream(event({"error": {"message": "boom"}})),
    "an error, named": stream(b"event: error\n" + event({"error": "boom"})),
    "no words and no end": stream(event(delta(None))),
    "html": whole(b"<html></html>", kind="text/html"),
}


def test_a_stream_that_is_none_is_502_and_another_is_asked(
    raws: list[RawUpstream], start: Starter
) -> None:
    one = raws[0]
    models = "{a: {pool: [one, two]}, d: {pool: [one], fallback: [e]}, e: {pool: [one]}}"
    gateway = begin(start, config(raws, models, "retries: {most: 1, budget: 1.0}\n"))
    for name, data in NO_STREAMS.items():
        one.answer = says(data)
        for _ in range(3):
            status, _, said = gateway.ask(body("a", stream=True))
            assert (status, said.endswith(DONE)) == (200, True), name
        assert _until_asked(gateway, one, stream=True)[0] == 502, name
        one.answer = fine
        _until_asked(gateway, one)


def test_an_error_in_the_middle_of_a_stream_is_a_failure(
    raws: list[RawUpstream], start: Starter
) -> None:
    failure = event({"error": {"message": "boom", "code": 500}})
    raws[0].answer = says(stream(event(delta("Hello")), failure, DONE))
    gateway = begin(start, config(raws, "{a: {pool: [one]}}"))
    said = gateway.ask(body(stream=True))[2]
    assert b"the upstream broke off" in said
    assert "llmops_gateway_upstream_errors_total{" in metrics(start, gateway)


def _packed(data: bytes, how: str) -> tuple[bytes, str]:
    if how == "deflate":
        return zlib.compress(data), "deflate"
    if how == "raw deflate":
        packer = zlib.compressobj(wbits=-15)
        return packer.compress(data) + packer.flush(), "deflate"
    if how == "zstd":
        import zstandard

        return zstandard.compress(data), "zstd"
    return gzip.compress(data), "gzip"


@pytest.mark.parametrize("how", ["gzip", "deflate", "raw deflate", "zstd"])
def test_what_comes_packed_unasked_is_unpacked(
    how: str, raws: list[RawUpstream], start: Starter
) -> None:
    events = event(delta("Hello")) * 50 + event(delta(None, "stop")) + DONE

    def packed(asked: Asked) -> Iterable[bytes]:
        assert asked.headers["accept-encoding"] == "identity"
        if not asked.json().get("stream"):
            data, name = _packed(json.dumps(WHOLE).encode(), how)
            yield whole(data, f"Content-Encoding: {name}")
            return
        data, name = _packed(events, how)
        yield STREAM[:-2] + f"Content-Encoding: {name}\r\n\r\n".encode()
        for i in range(0, len(data), 7):
            yield chunk(data[i : i + 7])
        yield b"0\r\n\r\n"

    raws[0].answer = packed
    gateway = begin(start, config(raws, "{a: {pool: [one]}}"))
    status, headers, said = gateway.ask(body())
    assert (status, json.loads(said)["choices"]) == (200, WHOLE["choices"])
    assert "content-encoding" not in headers
    assert gateway.ask(body(stream=True))[2].count(b"Hello") == 50


def test_informational_answers_are_passed_over(raws: list[RawUpstream], start: Starter) -> None:
    raws[0].answer = says(head(100) + head(103, "Link: x") + whole(WHOLE))
    gateway = begin(start, config(raws, "{a: {pool: [one]}}"))
    assert [gateway.ask(body())[0] for _ in range(5)] == [200] * 5


# -- a canary is judged by what clients would have got


CANARY = "{a: {pool: [one], canary: {use: [two], steps: [50, 100], step_s: 1, requests: 20}}}"


def canary(start: Starter, gateway: Gateway) -> dict[str, Any]:
    admin = start.key(f"adm{time.monotonic_ns()}", "--role", "admin")
    time.sleep(1.1)
    state = json.loads(gateway.ask(None, path="/admin/state", key=admin)[2])
    found: dict[str, Any] = state["canaries"]["a"]
    return found


def broken(asked: Asked) -> Iterable[bytes]:
    """A stream that begins well and has no end."""
    yield STREAM + chunk(event(delta("Hello"))) + b"0\r\n\r\n"


def crawling(asked: Asked) -> Iterable[bytes]:
    """The first word at once, the others one by one."""
    yield STREAM
    for _ in range(12):
        yield chunk(event(delta("x")))
        time.sleep(0.02)
    yield chunk(event(delta(None, "stop"))) + chunk(DONE) + b"0\r\n\r\n"


EMPTY = {**WHOLE, "choices": [{"index": 0, "message": {"content": ""}, "finish_reason": "stop"}]}
CANARIES: dict[str, tuple[Answer, bool]] = {
    "401": (says(whole({"error": {}}, status=401)), False),
    "404": (says(whole({"error": {}}, status=404)), False),
    "400": (says(whole({"error": {}}, status=400)), False),
    "422": (says(whole({"error": {}}, status=422)), True),
    "429": (says(whole({"error": {}}, status=429)), False),
    "301": (says(whole({}, "Location: http://x/", status=301)), False),
    "malformed": (says(whole(b"{")), False),
    "empty": (says(whole(EMPTY)), False),
    "empty streams": (says(stream(event(delta("")), event(delta(None, "stop")), DONE)), True),
    "broken streams": (broken, True),
    "errors in streams": (says(stream(event({"error": {"code": 400}}))), True),
    "slow after the first word": (crawling, True),
}


@pytest.mark.quiet
@pytest.mark.parametrize("name", CANARIES)
def test_a_canary_that_clients_would_not_have_liked_is_rolled_back(
    name: str, raws: list[RawUpstream], start: Starter
) -> None:
    answer, streams = CANARIES[name]
    raws[1].answer = answer
    raws[0].answer = _twelve_words if name.startswith("slow") else fine
    gateway = begin(start, config(raws, CANARY))
    state = {"state": "running"}
    for _ in range(6):
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            got = list(pool.map(lambda _: gateway.ask(body(stream=streams)), range(40)))
        assert {status for status, _, _ in got} == {200}, name
        if name != "broken streams":
            assert all(b"Hello" in said or b"xxx" in said or b'"x"' in said for _, _, said in got)
        state = canary(start, gateway)
        assert state["state"] != "done", name
        if state["state"] != "running":
            break
    assert state["state"] == "rolled back", state


def _twelve_words(asked: Asked) -> Iterable[bytes]:
    events = [event(delta("x"))] * 12
    return [stream(*events, event(delta(None, "stop")), DONE)]


@pytest.mark.quiet
def test_clients_cannot_roll_a_canary_back(raws: list[RawUpstream], start: Starter) -> None:
    """By bad requests, deadlines, leaving, and demands that have no answer, from one session."""

    def picky(asked: Asked) -> Iterable[bytes]:
        said = asked.json()
        if "seed" in said:
            return [whole({"error": {}}, status=said["seed"])]
        if "user" in said:
            return [whole({"error": {"message": "boom"}}, status=500)]
        if said.get("max_tokens") == 1:
            return [whole(EMPTY)]
        return slowly(asked)

    for each in raws:
        each.answer = picky
    text = CANARY.replace("step_s: 1,", "step_s: 600,")
    gateway = begin(start, config(raws, text))
    hostile = start.key("hostile")
    time.sleep(1.1)
    for i in range(120):
        session = {"x-session-id": f"s{i % 4}"}
        status = (400, 404, 413, 422)[i % 4]
        assert gateway.ask(body(seed=status), headers=session)[0] in (status, 502)
        assert gateway.ask(body(max_tokens=1), headers=session)[0] == 200
        assert gateway.ask(body(user="x"), headers=session, key=hostile)[0] == 500
        assert gateway.ask(body())[0] == 200
        if i % 4 == 0:
            gateway.ask(body(), headers={**session, **HASTY})
            _leave(gateway)
    state = canary(start, gateway)
    assert state["state"] == "running", state
    assert state["sides"]["canary"]["errors"] == 0
    assert [gateway.ask(body())[0] for _ in range(20)] == [200] * 20


# -- what an upstream is sent beside a request


SECRETS = {
    "AZURE_KEY": "sk-azure-1",
    "TENANT": "42",
    "TOKEN": "tok-en-2",
    "SIGNED": "s/ig+n=3",
    "STREAMS": "7",
    "MODEL": "hidden-model-4",
}


def test_azure_and_other_proxies_get_their_headers_query_and_path(
    raws: list[RawUpstream], start: Starter
) -> None:
    start.env.update(SECRETS)
    (start.folder / "signature").write_text("file-5\n")
    one = raws[0]
    one.answer = lambda asked: (
        [whole({"error": {"message": asked.headers["api-key"] + asked.target}}, status=400)]
        if "seed" in asked.json()
        else fine(asked)
    )
    text = f"""
upstreams:
  azure:
    url: http://127.0.0.1:{one.port}/${{TOKEN}}/openai/deployments/{{model}}
    key_env: AZURE_KEY
    key_header: api-key
    headers: {{X-Tenant: "${{TENANT}}", X-Sign: "a ${{file:signature}}", X-Plain: $${{TENANT}}}}
    query: {{api-version: 2024-10-21, sig: "${{SIGNED}}"}}
models:
  a: {{pool: [{{upstream: azure, model: gpt 4/o}}]}}
limits: {{models: {{a: {{streams: ${{STREAMS}}}}}}}}
guard: ${{POLICY:-default}}
"""
    gateway = begin(start, text)
    for streams in (False, True):
        assert gateway.ask(body(stream=streams))[0] == 200
    asked = one.seen[-1]
    path, _, query = asked.target.partition("?")
    assert path == "/tok-en-2/openai/deployments/gpt%204%2Fo/chat/completions"
    assert query == "api-version=2024-10-21&sig=s%2Fig%2Bn%3D3"
    assert asked.headers["api-key"] == "sk-azure-1"
    assert "authorization" not in asked.headers
    assert asked.headers["x-tenant"] == "42"
    assert asked.headers["x-sign"] == "a file-5"
    assert asked.headers["x-plain"] == "${TENANT}"
    assert asked.json()["model"] == "gpt 4/o"
    said = gateway.ask(body(seed=1))[2]
    admin = start.key("adm", "--role", "admin")
    time.sleep(1.1)
    state = gateway.ask(None, path="/admin/state", key=admin)[2]
    shown = [said, state, start.log().encode(), (start.state / "audit.jsonl").read_bytes()]
    for secret in ("sk-azure-1", "tok-en-2", "ig%2Bn", "s/ig+n=3", "file-5"):
        assert not [each for each in shown if secret.encode() in each], secret
    assert b"${TOKEN}" in state


def test_a_key_s_file_is_read_anew_when_it_changes(raws: list[RawUpstream], start: Starter) -> None:
    file = start.folder / "key"
    file.write_text("first\n")
    one = raws[0]
    good = ["Bearer first"]

    def knows(asked: Asked) -> Iterable[bytes]:
        if asked.headers["authorization"] != good[0]:
            return [whole({"error": {}}, status=401)]
        return fine(asked)

    one.answer = knows
    text = config(raws, "{a: {pool: [one]}}").replace("one: {", "one: {key_file: key, ")
    gateway = begin(start, text)
    assert gateway.ask(body())[0] == 200
    good[0] = "Bearer second"
    assert gateway.ask(body())[0] == 502
    file.write_text("second\n")
    time.sleep(2.2)
    assert gateway.ask(body())[0] == 200
    file.unlink()
    time.sleep(2.2)
    assert gateway.ask(body())[0] == 200, "the old key, until there is one again"
    assert "second" not in start.log()


@pytest.mark.quiet
@pytest.mark.parametrize("name", ["slow", "refuses late"])
def test_a_hedge_hides_no_bad_canary(name: str, raws: list[RawUpstream], start: Starter) -> None:
    """Its clients get the stable side's answer; that the canary lost is known of it."""

    def late(asked: Asked) -> Iterable[bytes]:
        time.sleep(0.3)
        return fine(asked) if name == "slow" else [whole({"error": {}}, status=401)]

    raws[1].answer = late
    text = CANARY.replace("canary:", "hedge_after_s: 0.1, canary:")
    gateway = begin(start, config(raws, text, "retries: {most: 2, budget: 1.0}\n"))
    state = {"state": "running"}
    for _ in range(8):
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            got = list(pool.map(lambda _: gateway.ask(body())[0], range(40)))
        assert set(got) == {200}
        state = canary(start, gateway)
        if state["state"] != "running":
            break
    assert state["state"] == "rolled back", state
