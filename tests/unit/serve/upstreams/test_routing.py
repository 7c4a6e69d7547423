"""Which upstreams a request may go to, and in which order."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_cli.gateway_file.config import GatewayConfig
from llmops_cli.gateway_file.model import CanaryConfig, ModelConfig, PoolMember, RuleConfig
from llmops_cli.gateway_file.upstream import Price, UpstreamConfig
from llmops_cli.serve.context import Asked, RequestContext
from llmops_cli.serve.endpoints import CHAT
from llmops_cli.serve.refusal import Refusal
from llmops_cli.serve.request import RequestBody
from llmops_cli.serve.upstreams.balance import ordered
from llmops_cli.serve.upstreams.canaries import Canaries
from llmops_cli.serve.upstreams.candidate import RoutingCandidate
from llmops_cli.serve.upstreams.members import Members
from llmops_cli.serve.upstreams.routing import Router

URL = "http://127.0.0.1:9"


def upstream(name: str, **config: object) -> Members:
    values = {"url": f"{URL}/{name}", **config}
    settings = UpstreamConfig(**values)  # type: ignore[arg-type]
    return Members(name, settings, [f"{URL}/{name}"])


def asked(text: str = "hello", *, session: str = "", **more: object) -> Asked:
    found = RequestContext(CHAT.path, CHAT).asked
    messages = [{"role": "user", "content": text}]
    found.values = {"model": "m", "messages": messages, **more}
    found.body = msgspec.convert(found.values, RequestBody)
    found.session = session
    found.personal = False
    return found


class Pool:
    """Three upstreams and a router over one model."""

    def __init__(self, folder: Path) -> None:
        self.upstreams = {
            "a": upstream("a", price=Price(output=3.0), can=["tools"]),
            "b": upstream("b", price=Price(output=1.0)),
            "c": upstream("c", price=Price(output=2.0)),
        }
        self.canaries = Canaries(folder)

    def router(self, model: ModelConfig | None) -> Router:
        models = {} if model is None else {"m": model}
        configs = {name: group.config for name, group in self.upstreams.items()}
        config = GatewayConfig(upstreams=configs, models=models)
        self.canaries.configure(models)
        return Router(config, self.upstreams, self.canaries)

    def names(self, model: ModelConfig, request: Asked | None = None) -> list[str]:
        found = self.router(model).candidates("m", request or asked())
        return [candidate.upstream.name for candidate in found]


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[Pool]:
    yield Pool(tmp_path)


def test_the_least_outstanding_for_its_weight_comes_first(pool: Pool) -> None:
    pool.upstreams["a"].current[0].outstanding = 30
    pool.upstreams["b"].current[0].outstanding = 20
    pool.upstreams["c"].current[0].outstanding = 40
    assert pool.names(ModelConfig(pool=["a", "b", "c"])) == ["b", "a", "c"]
    weighted: list[str | PoolMember] = ["a", "b", PoolMember(upstream="c", weight=4.0)]
    assert pool.names(ModelConfig(pool=weighted)) == ["c", "b", "a"]


def test_a_path_in_a_pool_is_what_its_engine_calls_the_model(pool: Pool) -> None:
    pool.upstreams["a"].current[0].models = frozenset({"small", "adapter"})
    pool.upstreams["b"].current[0].models = frozenset({"small", "more"})
    members: list[str | PoolMember] = [
        PoolMember(upstream="a", model="./small"),
        PoolMember(upstream="b", model="./other"),
        PoolMember(upstream="c", model="./small"),
    ]
    found = pool.router(ModelConfig(pool=members)).candidates("m", asked())
    assert {each.upstream.name: each.model for each in found} == {
        "a": "small",
        "b": "./other",
        "c": "./small",
    }


def test_the_cheapest_comes_first_where_cost_counts(pool: Pool) -> None:
    assert pool.names(ModelConfig(pool=["a", "b", "c"], balance="cost")) == ["b", "c", "a"]


def test_a_session_sticks_and_a_prefix_yields_to_load(pool: Pool) -> None:
    sticky = ModelConfig(pool=["a", "b", "c"], balance="sticky")
    orders = {tuple(pool.names(sticky, asked(session="s"))) for _ in range(5)}
    assert len(orders) == 1
    prefix = ModelConfig(pool=["a", "b", "c"], balance="prefix")
    home = pool.names(prefix)[0]
    pool.upstreams[home].current[0].in_flight = 40
    pool.upstreams[home].current[0].outstanding = 400
    assert pool.names(prefix)[0] != home


@pytest.mark.parametrize(
    ("rule", "request_", "meets"),
    [
        ({"longer_than": 2}, asked("x" * 40), True),
        ({"longer_than": 20}, asked("x" * 40), False),
        ({"shorter_than": 21}, asked("x" * 40), True),
        ({"urgency": "batch"}, asked(), False),
        ({"urgency": "interactive"}, asked(), True),
        ({"keys": ["team"]}, asked(), False),
        ({"needs": "tools"}, asked(tools=[{}]), True),
        ({"needs": "tools"}, asked(), False),
        ({"private": True}, asked(), True),
        ({"private": False}, asked(), False),
        ({"private": True, "longer_than": 20}, asked(), False),
    ],
)
def test_the_first_rule_that_is_met_decides(
    pool: Pool, rule: dict[str, object], request_: Asked, meets: bool
) -> None:
    config = RuleConfig(use=["b"], **rule)  # type: ignore[arg-type]
    model = ModelConfig(pool=["a"], rules=[config])
    request_.personal = True
    assert pool.names(model, request_) == (["b"] if meets else ["a"])


def test_who_cannot_do_what_is_asked_is_left_out(pool: Pool) -> None:
    form = asked(response_format={"type": "json_object"})
    assert pool.names(ModelConfig(pool=["a", "b"]), form) == ["b"]
    with pytest.raises(Refusal, match="can do json"):
        pool.names(ModelConfig(pool=["a"]), form)


def test_a_canary_gets_its_share_of_sessions(pool: Pool) -> None:
    canary = CanaryConfig(use=["c"], steps=[50, 100])
    router = pool.router(ModelConfig(pool=["a"], canary=canary))
    sides = []
    for number in range(200):
        first = router.candidates("m", asked(session=f"s{number}"))[0]
        again = router.candidates("m", asked(session=f"s{number}"))[0]
        assert first.side == again.side
        sides.append(first.side)
    assert 70 <= sides.count("canary") <= 130


def test_a_model_is_called_what_its_upstream_calls_it(pool: Pool) -> None:
    pool.upstreams["a"].current[0].models = frozenset(["only"])
    pool.upstreams["b"].current[0].models = frozenset(["m", "more"])
    members: list[str | PoolMember] = ["a", "b", PoolMember(upstream="c", model="theirs")]
    model = ModelConfig(pool=members, adapters=["lora"])
    router = pool.router(model)
    found = {each.upstream.name: each.model for each in router.candidates("m", asked())}
    assert found == {"a": "only", "b": "m", "c": "theirs"}
    adapted = {each.model for each in router.candidates("lora", asked())}
    assert adapted == {"lora"}


def test_without_models_the_upstreams_say_which_there_are(pool: Pool) -> None:
    pool.upstreams["a"].current[0].models = frozenset(["m"])
    pool.upstreams["b"].current[0].models = frozenset(["n"])
    pool.upstreams["c"].current[0].models = frozenset()
    router = pool.router(None)
    assert router.names() == {"m", "n"}
    assert [each.upstream.name for each in router.candidates("n", asked())] == ["b"]
    with pytest.raises(Refusal, match="there is no model 'o': known: m, n"):
        router.model("o", shows=lambda _: True)
    with pytest.raises(Refusal, match=r"there is no model 'o'$"):
        router.model("o")


def test_a_full_upstream_comes_last() -> None:
    full = upstream("full", max_in_flight=1).current[0]
    full.in_flight = 1
    busy = upstream("busy").current[0]
    busy.outstanding = 1000
    candidates = [RoutingCandidate(full, "m"), RoutingCandidate(busy, "m")]
    for balance in ("tokens", "cost"):
        found = ordered(candidates, balance, asked(), random.Random(1))  # type: ignore[arg-type]
        assert found[0].upstream is busy


@given(st.integers(2, 8), st.integers(0, 2**32))
def test_a_member_that_comes_takes_its_share_of_prompts_and_moves_no_other(
    count: int, seed: int
) -> None:
    """So that one that leaves gives away its own, and no more."""
    members = [
        RoutingCandidate(upstream(f"m{number}-{seed}").current[0], "m") for number in range(count)
    ]
    moved = 0
    prompts = 120
    for number in range(prompts):
        request = asked(f"Document {number} of {seed}")
        before = ordered(members[:-1], "prefix", request, random.Random(1))[0]
        after = ordered(members, "prefix", request, random.Random(1))[0]
        if after is not before:
            moved += 1
            assert after is members[-1]
    share = 1 / count
    spread = math.sqrt(share * (1 - share) / prompts)
    assert moved / prompts <= share + 5 * spread
