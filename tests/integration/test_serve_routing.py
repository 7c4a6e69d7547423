"""Where requests go: pools, rules, affinity, canaries, shadows, switches, and what happens when an
upstream fails.
"""

from __future__ import annotations

import concurrent.futures
import json
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.gateway import CHAT, Gateway, Starter, Upstream, free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

More = Callable[[int], list[Upstream]]


def said(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "a", "messages": [{"role": "user", "content": text}], **more}


def upstreams_of(**found: Upstream) -> str:
    return "upstreams:\n" + "".join(
        f"  {name}: {{url: '{each.url}'}}\n" for name, each in found.items()
    )


def ready(gateway: Gateway) -> None:
    for _ in range(100):
        if gateway.ask(None, path="/ready")[0] == 200:
            return
        time.sleep(0.05)
    raise AssertionError("never ready")


def many(
    gateway: Gateway, bodies: list[dict[str, Any]], threads: int = 8, **more: Any
) -> list[int]:
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        return [status for status, _, _ in pool.map(lambda body: gateway.ask(body, **more), bodies)]


def test_a_pool_shares_the_load_and_translates_names(upstreams: More, start: Starter) -> None:
    one, two = upstreams(2)
    one.delay_s = two.delay_s = 0.05
    gateway = start.config(
        upstreams_of(one=one, two=two)
        + "models: {a: {pool: [{upstream: one, model: m}, {upstream: two, model: other}]}}"
    )
    ready(gateway)
    assert many(gateway, [said("Hi")] * 40) == [200] * 40
    assert {body["model"] for body in one.seen} == {"m"}
    assert {body["model"] for body in two.seen} == {"other"}
    assert 12 <= len(one.seen) <= 28
    assert gateway.ask({**CHAT})[0] == 404  # m is what an upstream calls it
    listed = json.loads(gateway.ask(None, path="/v1/models")[2])
    assert [entry["id"] for entry in listed["data"]] == ["a"]
    status, _, body = gateway.ask({**CHAT, "model": "b"})
    assert status == 404
    assert "there is no model 'b': known: a" in json.loads(body)["error"]["message"]
    key = start.key("other", "--models", "z")
    time.sleep(1)
    assert b"known" not in gateway.ask({**CHAT, "model": "b"}, key=key)[2], (
        "who may not use it is not told of it"
    )


def test_a_prompt_s_head_and_a_session_stay_where_they_are(upstreams: More, start: Starter) -> None:
    group = upstreams(3)
    names = dict(zip(("x", "y", "z"), group, strict=True))
    gateway = start.config(
        upstreams_of(**names)
        + "models: {a: {pool: [x, y, z], balance: prefix}, s: {pool: [x, y, z], balance: sticky}}"
    )
    ready(gateway)
    places = []
    for document in range(12):
        before = [len(each.seen) for each in group]
        for question in range(3):
            system = {"role": "system", "content": f"Document {document}: " + "words " * 400}
            assert (
                gateway.ask(
                    {"model": "a", "messages": [system, {"role": "user", "content": f"{question}"}]}
                )[0]
                == 200
            )
        rose = [len(each.seen) - old for each, old in zip(group, before, strict=True)]
        assert sorted(rose) == [0, 0, 3], "one document, one upstream"
        places.append(rose.index(3))
    assert len(set(places)) > 1, "documents are spread"
    for session in range(6):
        before = [len(each.seen) for each in group]
        for question in range(3):
            gateway.ask(said(f"{question}", model="s"), headers={"X-Session-Id": f"s{session}"})
        assert sorted(len(each.seen) - old for each, old in zip(group, before, strict=True)) == [
            0,
            0,
            3,
        ]


def test_rules_choose_by_length_urgency_privacy_and_need(upstreams: More, start: Starter) -> None:
    near, long, cheap, private, eyes = upstreams(5)
    gateway = start.config(
        upstreams_of(near=near, long=long, cheap=cheap, private=private, eyes=eyes)
        + "models:\n  a:\n    pool: [near]\n    rules:\n"
        "      - {private: true, use: [private]}\n"
        "      - {longer_than: 1000, use: [long]}\n"
        "      - {urgency: batch, use: [cheap]}\n"
        "  seen:\n    pool: [near]\n    rules:\n"
        "      - {needs: vision, use: [eyes]}\n"
    )
    ready(gateway)
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    picture = [{"role": "user", "content": [{"type": "text", "text": "What?"}, image]}]
    cases: list[tuple[dict[str, Any], dict[str, str], Upstream]] = [
        (said("Hi"), {}, near),
        (said("My card is 4111 1111 1111 1111, why was it refused?"), {}, private),
        ({"model": "seen", "messages": picture}, {}, eyes),
        ({"model": "a", "messages": picture}, {}, private),
        (said("word " * 2000), {}, long),
        (said("Hi"), {"X-LLMOPS-Urgency": "batch"}, cheap),
    ]
    for body, headers, expected in cases:
        before = {id(each): len(each.seen) for each in (near, long, cheap, private, eyes)}
        assert gateway.ask(body, headers=headers)[0] == 200
        went = [
            each for each in (near, long, cheap, private, eyes) if len(each.seen) > before[id(each)]
        ]
        assert went == [expected]


def test_what_no_upstream_can_do_is_said(upstreams: More, start: Starter) -> None:
    (one,) = upstreams(1)
    gateway = start.config(
        f"upstreams: {{one: {{url: '{one.url}', can: [tools]}}}}\nmodels: {{a: {{pool: [one]}}}}"
    )
    image = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]
    status, _, body = gateway.ask({"model": "a", "messages": [{"role": "user", "content": image}]})
    assert status == 400
    assert "vision" in json.loads(body)["error"]["message"]
    assert (
        gateway.ask(said("Hi", tools=[{"type": "function", "function": {"name": "f"}}]))[0] == 200
    )


def test_adapters_share_the_pool_of_their_model(upstreams: More, start: Starter) -> None:
    (one,) = upstreams(1)
    gateway = start.config(
        upstreams_of(one=one) + "models: {a: {pool: [one], adapters: [sql, poems]}}"
    )
    assert gateway.ask(said("Hi", model="sql"))[0] == 200
    assert one.seen[-1]["model"] == "sql"
    key = start.key("only-sql", "--models", "sql")
    time.sleep(1)
    assert gateway.ask(said("Hi", model="sql"), key=key)[0] == 200
    assert gateway.ask(said("Hi", model="poems"), key=key)[0] == 403


def test_the_small_model_answers_when_it_is_sure(upstreams: More, start: Starter) -> None:
    small, large = upstreams(2)
    small.words = ["small"]
    large.words = ["large"]
    gateway = start.config(
        upstreams_of(small=small, large=large)
        + "models:\n  tiny: {pool: [small]}\n  a: {pool: [large], hybrid: {small: tiny, sure: 0.8}}"
    )
    ready(gateway)
    status, headers, body = gateway.ask(said("Hi"))
    answer = json.loads(body)
    assert (status, answer["choices"][0]["message"]["content"]) == (200, "small")
    assert headers["x-llmops-model"] == "tiny"
    assert "logprobs" not in answer["choices"][0]
    assert b'"content":"small"' in gateway.ask(said("Hi", stream=True))[2]
    assert large.seen == []
    small.logprob = -1.5
    assert json.loads(gateway.ask(said("Hi"))[2])["choices"][0]["message"]["content"] == "large"
    small.mode = "500"
    assert json.loads(gateway.ask(said("Hi"))[2])["choices"][0]["message"]["content"] == "large"


def test_shadows_get_copies_and_delay_nobody(upstreams: More, start: Starter) -> None:
    one, shadow = upstreams(2)
    shadow.delay_s = 3.0
    gateway = start.config(
        upstreams_of(one=one, shadow=shadow)
        + "models: {a: {pool: [one], shadow: {use: [shadow], share: 1.0, at_once: 4}}}"
    )
    ready(gateway)
    begun = time.monotonic()
    assert many(gateway, [said("Hi")] * 20) == [200] * 20
    assert time.monotonic() - begun < 2
    assert len(shadow.seen) == 4, "no more than that at once"
    assert len(one.seen) == 20
    admin = start.key("adm", "--role", "admin")
    time.sleep(3.5)
    text = gateway.ask(None, path="/metrics", key=admin)[2].decode()
    assert 'llmops_gateway_shadow_total{model="a",result="skipped"} 16.0' in text
    assert 'llmops_gateway_shadow_total{model="a",result="fine"} 4.0' in text


CANARY = (
    "models: {a: {pool: [old], canary: {use: [new], steps: [50, 100], step_s: 1, requests: 20}}}"
)


def canary_of(gateway: Gateway, admin: str) -> dict[str, Any]:
    state: dict[str, Any] = json.loads(gateway.ask(None, path="/admin/state", key=admin)[2])[
        "canaries"
    ]["a"]
    return state


@pytest.mark.quiet
def test_a_canary_that_is_well_takes_over(upstreams: More, start: Starter) -> None:
    old, new = upstreams(2)
    gateway = start.config(upstreams_of(old=old, new=new) + CANARY)
    admin = start.key("adm", "--role", "admin")
    ready(gateway)
    for _ in range(12):
        assert set(many(gateway, [said("Hi", stream=True)] * 40)) == {200}
        time.sleep(0.5)
        if canary_of(gateway, admin)["state"] == "done":
            break
    assert canary_of(gateway, admin)["state"] == "done"
    before = len(old.seen)
    assert set(many(gateway, [said("Hi")] * 20)) == {200}
    assert len(old.seen) == before, "everything goes to the new side"


def test_both_sides_of_a_canary_are_timed_to_their_first_word(
    upstreams: More, start: Starter
) -> None:
    """An event that only names the role comes at once; what comes later is what is waited for."""
    old, new = upstreams(2)
    for each in (old, new):
        each.words = ["", "Hello", " there"]
        each.delay_s = 0.1
    gateway = start.config(upstreams_of(old=old, new=new) + CANARY)
    admin = start.key("adm", "--role", "admin")
    ready(gateway)
    for _ in range(3):
        assert set(many(gateway, [said("Hi", stream=True)] * 40)) == {200}
    asked = [len(each.seen) for each in (old, new)]
    assert min(asked) >= 20
    assert canary_of(gateway, admin)["state"] != "rolled back"


@pytest.mark.quiet
@pytest.mark.parametrize(("fault", "reason"), [("errors", "errors"), ("slow", "TTFT")])
def test_a_canary_that_is_worse_is_rolled_back(
    fault: str, reason: str, upstreams: More, start: Starter
) -> None:
    old, new = upstreams(2)
    if fault == "errors":
        new.mode = "500"
    else:
        old.delay_s = 0.02
        new.delay_s = 0.2
    gateway = start.config(upstreams_of(old=old, new=new) + CANARY)
    admin = start.key("adm", "--role", "admin")
    ready(gateway)
    for _ in range(8):
        assert set(many(gateway, [said("Hi")] * 40)) == {200}, (
            "who is sent to the new side is answered by the old one"
        )
        time.sleep(0.6)
        if canary_of(gateway, admin)["state"] != "running":
            break
    state = canary_of(gateway, admin)
    assert (state["state"], state["percent"]) == ("rolled back", 0)
    assert reason in state["reason"]
    before = len(new.seen)
    many(gateway, [said("Hi")] * 30)
    assert len(new.seen) == before
    assert "is rolled back" in start.log()


def test_blue_and_green_are_switched_by_the_file(upstreams: More, start: Starter) -> None:
    blue, green = upstreams(2)
    text = (
        upstreams_of(blue=blue, green=green)
        + f"  gone: {{url: 'http://127.0.0.1:{free_port()}'}}\n"
        + ("models: {a: {colours: {blue: [blue], green: [green], lost: [gone]}, live: LIVE}}")
    )
    gateway = start.config(text.replace("LIVE", "blue"))
    ready(gateway)
    stop = threading.Event()
    statuses = list[int]()

    def load() -> None:
        while not stop.is_set():
            statuses.append(gateway.ask(said("Hi", stream=True))[0])

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        time.sleep(0.5)
        assert blue.seen
        assert not green.seen
        start.file.write_text(text.replace("LIVE", "green"))
        for _ in range(100):
            time.sleep(0.05)
            if green.seen:
                break
        time.sleep(0.3)
        before = len(blue.seen)
        time.sleep(0.5)
        assert len(blue.seen) == before, "nothing goes to blue any more"
        start.file.write_text(text.replace("LIVE", "lost"))
        time.sleep(7)
        assert "nothing answers on the side lost" in start.log()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert set(statuses) == {200}


# -- failing upstreams
# ---------------------------------------------------------------------------------


def test_one_that_fails_is_replaced_by_another_and_left_alone(
    upstreams: More, start: Starter
) -> None:
    bad, good = upstreams(2)
    bad.mode = "500"
    gateway = start.config(upstreams_of(bad=bad, good=good) + "models: {a: {pool: [bad, good]}}")
    ready(gateway)
    assert set(many(gateway, [said("Hi")] * 60, threads=4)) == {200}
    assert len(bad.seen) < 20, "the breaker keeps them away"
    bad.mode = "fine"
    for _ in range(60):
        before = len(bad.seen)
        assert set(many(gateway, [said("Hi")] * 6, threads=3)) == {200}
        time.sleep(0.1)
        if len(bad.seen) >= before + 2:
            break
    assert len(bad.seen) >= before + 2, "and lets them back once it answers"


def test_when_everything_is_out_the_answer_is_quick_and_honest(
    upstreams: More, start: Starter
) -> None:
    (bad,) = upstreams(1)
    bad.mode = "500"
    gateway = start.config(upstreams_of(bad=bad) + "models: {a: {pool: [bad]}}")
    ready(gateway)
    codes = [gateway.ask(said("Hi"))[0] for _ in range(8)]
    assert codes[:2] == [500, 500]
    status, headers, body = gateway.ask(said("Hi"))
    assert status == 503
    assert int(headers["retry-after"]) >= 1
    assert "out of service" in json.loads(body)["error"]["message"]


def test_another_model_and_an_old_answer_stand_in(upstreams: More, start: Starter) -> None:
    one, two = upstreams(2)
    two.words = ["second"]
    gateway = start.config(
        upstreams_of(one=one, two=two)
        + "models:\n  a: {pool: [one], fallback: [b]}\n  b: {pool: [two]}\n"
        "  c: {pool: [one], cache: {ttl_s: 0.2, stale: true}}\n"
    )
    ready(gateway)
    assert gateway.ask(said("What?", model="c"))[0] == 200
    one.mode = "500"
    status, headers, body = gateway.ask(said("Hi", stream=True))
    assert (status, headers["x-llmops-model"]) == (200, "b")
    assert b"second" in body
    time.sleep(0.3)
    status, headers, body = gateway.ask(said("What?", model="c"))
    assert (status, headers["x-llmops-cache"]) == (200, "stale")
    assert gateway.ask(said("Something else?", model="c"))[0] in (500, 503)


@pytest.mark.quiet
def test_a_slow_one_is_hedged(upstreams: More, start: Starter) -> None:
    slow, quick = upstreams(2)
    slow.delay_s = quick.delay_s = 2.0
    gateway = start.config(
        upstreams_of(slow=slow, quick=quick)
        + "models: {a: {pool: [slow, quick], hedge_after_s: 0.2}}"
    )
    ready(gateway)
    quick.delay_s = 0.0
    slow.delay_s = 2.0
    begun = time.monotonic()
    assert many(gateway, [said("Hi")] * 6, threads=6) == [200] * 6
    assert time.monotonic() - begun < 1.5
    assert len(slow.seen) + len(quick.seen) > 6


@pytest.mark.quiet
def test_a_full_pool_queues_sheds_and_keeps_deadlines(upstreams: More, start: Starter) -> None:
    (one,) = upstreams(1)
    one.delay_s = 0.5
    gateway = start.config(
        f"upstreams: {{one: {{url: '{one.url}', max_in_flight: 2}}}}\n"
        f"models: {{a: {{pool: [one]}}}}\n"
        "queue: {depth: 4, wait_s: 10}\n"
    )
    ready(gateway)
    begun = time.monotonic()
    codes = many(gateway, [said("Hi")] * 10, threads=10)
    assert sorted(codes) == [200] * 6 + [503] * 4
    assert 1.4 < time.monotonic() - begun < 4
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(gateway.ask, said("Hi")) for _ in range(5)]
        time.sleep(0.2)
        begun = time.monotonic()
        status, headers, _ = gateway.ask(said("Hi"), headers={"X-LLMOPS-Timeout-Ms": "100"})
        assert status == 503
        assert time.monotonic() - begun < 0.5
        assert headers["retry-after"]
        assert {future.result()[0] for future in waiting} == {200}


def test_who_waits_for_a_full_upstream_keeps_another_from_nobody(
    upstreams: More, start: Starter
) -> None:
    """A rule leaves long prompts to one that is busy; short ones waited behind them."""
    short, long = upstreams(2)
    short.delay_s = 0.05
    long.delay_s = 2.5
    gateway = start.config(
        f"upstreams:\n  short: {{url: '{short.url}', max_in_flight: 1}}\n"
        f"  long: {{url: '{long.url}', max_in_flight: 1}}\n"
        "models: {a: {pool: [{upstream: short, model: m}],"
        " rules: [{longer_than: 200, use: [{upstream: long, model: m}]}]}}\n"
        "queue: {depth: 20, wait_s: 20}\n"
    )
    ready(gateway)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(gateway.ask, said("word " * 500)) for _ in range(2)]
        while not long.seen:
            time.sleep(0.01)
        time.sleep(0.1)
        begun = time.monotonic()
        quick = [pool.submit(gateway.ask, said("Hi")) for _ in range(4)]
        statuses = [job.result()[0] for job in quick]
        took_s = time.monotonic() - begun
        assert [job.result()[0] for job in waiting] == [200, 200]
    assert statuses == [200] * 4
    assert took_s < 1.5


def test_one_key_cannot_fill_the_queue_of_all(upstreams: More, start: Starter) -> None:
    (one,) = upstreams(1)
    one.delay_s = 0.3
    many_key = start.key("many")
    few_key = start.key("few")
    gateway = start.config(
        f"upstreams: {{one: {{url: '{one.url}', max_in_flight: 1}}}}\n"
        f"models: {{a: {{pool: [one]}}}}\n"
        "queue: {depth: 6, wait_s: 20}\n"
    )
    ready(gateway)
    with concurrent.futures.ThreadPoolExecutor(9) as pool:
        flood = [pool.submit(gateway.ask, said("Hi"), key=many_key) for _ in range(7)]
        time.sleep(0.2)  # one is answered, six wait
        honest = [pool.submit(gateway.ask, said("Hi"), key=few_key) for _ in range(2)]
        assert [each.result()[0] for each in honest] == [200, 200]
        still_waiting = [each for each in flood if not each.done()]
        statuses = [each.result()[0] for each in flood]
    assert sorted(statuses) == [200] * 5 + [503] * 2
    assert len(still_waiting) >= 2, "they were answered in their turn, not behind all of these"


def test_a_pool_that_is_full_has_a_stand_in(upstreams: More, start: Starter) -> None:
    one, two = upstreams(2)
    one.delay_s = 0.5
    two.words = ["second"]
    gateway = start.config(
        f"upstreams: {{one: {{url: '{one.url}', max_in_flight: 1}}, two: {{url: '{two.url}'}}}}\n"
        "models: {a: {pool: [one], fallback: [b]}, b: {pool: [two]}}\nqueue: {depth: 0}\n"
    )
    ready(gateway)
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: gateway.ask(said("Hi")), range(6)))
    assert [status for status, _, _ in answers] == [200] * 6
    assert sum(b"second" in body for _, _, body in answers) == 5


def test_who_asks_for_rest_gets_it(upstreams: More, start: Starter) -> None:
    busy, free = upstreams(2)
    busy.mode = "429"
    gateway = start.config(upstreams_of(busy=busy, free=free) + "models: {a: {pool: [busy, free]}}")
    ready(gateway)
    assert set(many(gateway, [said("Hi")] * 30, threads=3)) == {200}
    assert len(busy.seen) <= 3, "it asked for seven seconds"


@pytest.mark.quiet
def test_a_frozen_one_delays_nobody_else(upstreams: More, start: Starter) -> None:
    frozen, fine = upstreams(2)
    gateway = start.config(
        upstreams_of(frozen=frozen, fine=fine)
        + "models: {a: {pool: [frozen]}, b: {pool: [fine]}, c: {pool: [frozen, fine]}}"
    )
    ready(gateway)
    frozen.mode = "stall"
    with concurrent.futures.ThreadPoolExecutor(64) as pool:
        stuck = [pool.submit(gateway.ask, said("Hi")) for _ in range(20)]
        time.sleep(0.3)
        times = []
        for _ in range(30):
            begun = time.monotonic()
            assert gateway.ask(said("Hi", model="b"))[0] == 200
            times.append(time.monotonic() - begun)
        assert max(times) < 0.5
        frozen.close()
        for each in stuck:
            each.cancel()
        gateway.process.kill()


@pytest.mark.quiet
def test_a_role_is_no_token(start: Starter, upstreams: More) -> None:
    """Engines that name the role at once: TTFT is until the first word, in the log as in a
    client.
    """
    (one,) = upstreams(1)
    one.words = ["", "Hello", " there"]
    one.delay_s = 0.2
    gateway = start.config(upstreams_of(one=one) + "models: {a: {pool: [one]}}")
    ready(gateway)
    assert b"Hello" in gateway.ask(said("Hi", stream=True))[2]
    time.sleep(0.3)
    (line,) = gateway.audit()
    assert 180 < line["first_ms"] < 400


def test_who_got_no_answer_keeps_the_request(start: Starter, upstreams: More) -> None:
    (one,) = upstreams(1)
    gateway = start.config(
        upstreams_of(one=one)
        + "models: {a: {pool: [one]}}\nlimits: {models: {a: {requests_per_minute: 2}}}"
    )
    ready(gateway)
    one.mode = "500"
    assert [gateway.ask(said("Hi"))[0] for _ in range(3)] == [500] * 3
    one.mode = "fine"
    codes = [gateway.ask(said("Hi")) for _ in range(3)]
    assert [code for code, _, _ in codes] == [200, 200, 429]
    assert codes[2][1]["x-ratelimit-limit-requests"] == "2"
