"""Which answers are kept, and to whom they are given again."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from llmops_cli.gateway_file.config import GatewayConfig
from llmops_cli.gateway_file.model import (
    CacheConfig,
    CanaryConfig,
    HybridConfig,
    ModelConfig,
    PoolMember,
    SemanticConfig,
)
from llmops_cli.gateway_file.upstream import UpstreamConfig
from llmops_cli.serve.answers.cache import LocalStore
from llmops_cli.serve.answers.cached import AnswerCache
from llmops_cli.serve.answers.semantic import Meanings, Near
from llmops_cli.serve.cache_control import BYPASS, CacheWish
from llmops_cli.serve.endpoints import COMPLETIONS, EMBEDDINGS
from tests.unit.serve.scripted import Answered, Opened, Script, ScriptedGateway

HELLO = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}


class Cached(ScriptedGateway):
    """Model m with a cache; each upstream says its name."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.scripts = self.named

    def named(self, opened: Opened) -> Script:
        return Script(words=opened.upstream)

    def serve(self, urls: tuple[str, ...] = ("old", "new"), **model: Any) -> None:
        upstreams = {name: UpstreamConfig(url=f"http://127.0.0.1:9/{name}") for name in urls}
        cache = CacheConfig(stale=True, semantic=SemanticConfig(model="small"))
        found = ModelConfig(cache=cache, **model)
        small = ModelConfig(pool=[urls[-1]])
        self.configure(GatewayConfig(upstreams=upstreams, models={"m": found, "small": small}))

    def say(self, **more: Any) -> Answered:
        return asyncio.run(self.ask({**HELLO, **more}))

    def use(self, answer: Answered) -> str:
        assert answer.status == 200, answer
        return answer.headers.get(b"x-llmops-cache", b"").decode()


@pytest.fixture
def gateway(tmp_path: Path) -> Cached:
    return Cached(tmp_path)


def test_a_switch_of_colours_ends_the_old_colour_s_answers(gateway: Cached) -> None:
    colours = {"blue": ["old"], "green": ["new"]}
    gateway.serve(colours=colours, live="blue")
    assert b"old" in gateway.say().body
    assert gateway.use(gateway.say()) == "hit"
    gateway.serve(colours=colours, live="green")
    assert b"new" in gateway.say().body
    gateway.serve(colours=colours, live="blue")
    assert gateway.use(gateway.say()) == "hit", "blue's own answer is there still"


def test_a_canary_s_answers_stay_on_its_side(gateway: Cached) -> None:
    """Who is drawn is drawn by the session."""
    gateway.serve(pool=["old"], canary=CanaryConfig(use=["new"], steps=[50, 100]))

    def ask(session: int) -> tuple[str, bytes]:
        answer = asyncio.run(gateway.ask(HELLO, session=f"s{session}"))
        return gateway.use(answer), answer.body

    for session in range(40):
        ask(session)
    chats = [opened for opened in gateway.opened if opened.path.startswith("/v1/chat")]
    assert len(chats) == 2, "one answer for each side"
    assert {b"old" in body for _, body in map(ask, range(40))} == {True, False}


def test_what_another_side_said_in_a_canary_s_place_is_not_kept(gateway: Cached) -> None:
    gateway.serve(pool=["old"], canary=CanaryConfig(use=["new"], steps=[100]))
    gateway.scripts = lambda it: Script(status=500 if it.upstream == "new" else 200)
    for _ in range(3):
        assert gateway.use(gateway.say()) == ""


def test_another_name_of_the_model_at_the_upstream_is_another_model(gateway: Cached) -> None:
    gateway.serve(pool=[PoolMember(upstream="old", model="v1")])
    gateway.say()
    gateway.serve(pool=[PoolMember(upstream="old", model="v2")])
    assert gateway.use(gateway.say()) == ""
    gateway.serve(pool=[PoolMember(upstream="old", model="v1", weight=2.0)])
    assert gateway.use(gateway.say()) == "hit"


def test_a_hybrid_s_answers_are_its_small_model_s_too(gateway: Cached) -> None:
    gateway.serve(pool=["old"])
    gateway.say()
    gateway.serve(pool=["old"], hybrid=HybridConfig(small="small"))
    assert gateway.use(gateway.say()) == ""
    assert gateway.use(gateway.say()) == "hit"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "script",
    [
        Script(finish="length"),
        Script(finish="content_filter"),
        Script(finish="abort"),
        Script(finish=""),
        Script(words=""),
        Script(words=" \n"),
    ],
)
def test_what_is_cut_off_or_empty_is_not_kept(
    script: Script, stream: bool, gateway: Cached
) -> None:
    gateway.serve(pool=["old"])
    gateway.scripts = lambda _: script
    for _ in range(2):
        assert gateway.use(gateway.say(stream=stream)) == ""
    gateway.scripts = gateway.named
    assert gateway.use(gateway.say(stream=stream)) == ""
    assert gateway.use(gateway.say(stream=stream)) == "hit"


def test_of_several_answers_all_are_whole(gateway: Cached) -> None:
    """The script gives one where two were asked for."""
    gateway.serve(pool=["old"])
    for _ in range(2):
        assert gateway.use(gateway.say(n=2)) == ""


def test_vectors_are_kept(gateway: Cached) -> None:
    gateway.serve(pool=["old"])
    body = {"model": "m", "input": "Hi"}
    answers = [asyncio.run(gateway.ask(body, endpoint=EMBEDDINGS)) for _ in range(2)]
    assert [gateway.use(answer) for answer in answers] == ["", "hit"]
    prompt = {"model": "m", "prompt": "Hi"}
    assert gateway.use(asyncio.run(gateway.ask(prompt, endpoint=COMPLETIONS))) == ""


def test_what_a_client_says_of_the_cache(gateway: Cached) -> None:
    gateway.serve(pool=["old"])

    def ask(**wish: Any) -> Answered:
        return asyncio.run(gateway.ask(HELLO, cache_wish=CacheWish(**wish)))

    answer = ask(only=True)
    assert (answer.status, answer.code) == (504, "not_cached")
    assert {opened.path for opened in gateway.opened} <= {"/v1/embeddings"}
    assert gateway.use(ask(**BYPASS._asdict())) == ""
    assert gateway.use(ask(reads=False)) == "", "no-store keeps nothing"
    gateway.scripts = lambda _: Script(words="later")
    assert gateway.use(ask()) == "hit", "no-cache keeps what it gets"
    assert gateway.use(ask(only=True)) == "hit"
    assert b"later" in ask(reads=False).body
    assert b"later" in ask().body
    assert gateway.use(ask(max_age_s=60)) == "hit"
    assert gateway.use(ask(max_age_s=1e-9)) == ""
    assert gateway.use(ask(min_fresh_s=1e9)) == ""


def test_an_old_answer_is_not_given_to_who_wants_a_new_one(gateway: Cached) -> None:
    gateway.serve(pool=["old"])
    gateway.say()
    gateway.scripts = lambda _: Script(status=0)
    assert asyncio.run(gateway.ask(HELLO, cache_wish=CacheWish(reads=False))).status == 502


@pytest.mark.parametrize(
    ("text", "use"),
    [
        ("Please tell me, does Alice owe Bob 3 dollars?", "semantic"),
        ("Does Bob owe Alice 3 dollars?", ""),
        ("Does Alice owe Bob 4 dollars?", ""),
        ("Does Alice owe Bob 3 euros?", ""),
        ("Doesn't Alice owe Bob 3 dollars?", ""),
        ("Does Alice give Bob 3 dollars?", ""),
    ],
)
def test_only_another_wording_is_the_same_question(text: str, use: str, gateway: Cached) -> None:
    """All vectors of the script are the same."""
    gateway.serve(pool=["old"])

    def ask(said: str) -> str:
        return gateway.use(gateway.say(messages=[{"role": "user", "content": said}]))

    assert ask("Does Alice owe Bob 3 dollars?") == ""
    assert ask(text) == use
    assert ask("Does Alice owe Bob 3 dollars?") == "hit"


def test_a_long_text_is_no_other_s_wording(gateway: Cached) -> None:
    gateway.serve(pool=["old"])
    long = "word " * 500
    for text in (long, f"please {long}"):
        assert gateway.use(gateway.say(messages=[{"role": "user", "content": text}])) == ""
    assert "/v1/embeddings" not in {opened.path for opened in gateway.opened}


def test_wordings_stay_on_their_side(gateway: Cached) -> None:
    colours = {"blue": ["old"], "green": ["new"]}
    gateway.serve(colours=colours, live="blue")
    gateway.say()
    gateway.serve(colours=colours, live="green")
    please = [{"role": "user", "content": "Please, hi"}]
    assert gateway.use(gateway.say(messages=please)) == ""


class SlowMeanings(Meanings):
    """Of thousands of long vectors."""

    def nearest(self, *args: Any, **kwargs: Any) -> Near | None:
        time.sleep(0.3)
        return super().nearest(*args, **kwargs)


def test_nobody_waits_for_vectors_to_be_compared(gateway: Cached, tmp_path: Path) -> None:
    gateway.serve(pool=["old"])
    store = LocalStore(tmp_path)
    gateway.handler.cache = AnswerCache(store, lambda: SlowMeanings(tmp_path))
    turns = 0

    async def asked() -> Answered:
        loop = asyncio.get_running_loop()

        def turn() -> None:
            nonlocal turns
            turns += 1
            loop.call_later(0.01, turn)

        turn()
        return await gateway.ask(HELLO)

    assert asyncio.run(asked()).status == 200
    assert turns > 10
    store.close()
