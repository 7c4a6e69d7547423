"""What is reserved is an upper bound: a budget is never passed, whatever a body says."""

from __future__ import annotations

import asyncio
import itertools
import time
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from llmops_cli.gateway_file.config import GatewayConfig
from llmops_cli.gateway_file.model import (
    CacheConfig,
    HybridConfig,
    ModelConfig,
    SemanticConfig,
    ShadowConfig,
)
from llmops_cli.gateway_file.upstream import Price, UpstreamConfig
from llmops_cli.serve.accounts.budget import month_now
from llmops_cli.serve.accounts.keys import Key
from llmops_cli.serve.endpoints import (
    CHAT,
    COMPLETIONS,
    EMBEDDINGS,
    MESSAGES,
    RESPONSES,
    Endpoint,
)
from tests.unit.serve.scripted import Answered, ScriptedGateway, ScriptedReply
from tests.unit.serve.spender import answer

Json = dict[str, Any]  # Any: OpenAI's fields
PRICE = (2.0, 10.0)
NUMBERS = itertools.count()
RICH = Key(id="k", name="k", role="user", models=[], created=0.0, budget_dollars=1e6)


class Spender:
    """In an upstream's place: spends what a body allows, and remembers what that was."""

    def __init__(self, price: tuple[float, float] = PRICE) -> None:
        self.dollars = 0.0
        self.asked = 0
        self._price = price

    async def ask(self, method: str, path: str, body: bytes, *_: Any, **__: Any) -> ScriptedReply:
        del method
        self.asked += 1
        said, dollars = answer(path, msgspec.json.decode(body), self._price)
        self.dollars += dollars
        return ScriptedReply(200, msgspec.json.encode(said), b"application/json")

    def release(self, reply: ScriptedReply) -> None:
        pass

    def abandon(self) -> None:
        pass

    def close(self) -> None:
        pass


class Shop:
    """A gateway before one spender, or two where a small model answers first."""

    def __init__(
        self,
        folder: Path,
        *,
        hybrid: bool = False,
        spender: Spender | None = None,
        context: int | None = None,
    ) -> None:
        self.gateway = ScriptedGateway(folder)
        self.spender = spender or Spender()
        price = Price(input=PRICE[0], output=PRICE[1])
        upstream = UpstreamConfig(url="http://127.0.0.1:9/v1", price=price)
        small = HybridConfig(small="small") if hybrid else None
        models = {
            "m": ModelConfig(pool=["one"], hybrid=small, context=context),
            "small": ModelConfig(pool=["one"]),
        }
        config = GatewayConfig(upstreams={"one": upstream}, models=models)
        for each in self.gateway.configure(config).all():
            origin: Any = self.spender
            each.origin = origin

    def ask(self, endpoint: Endpoint, body: Json, budget: float, key: str = "") -> Answered:
        name = key or f"k{next(NUMBERS)}"
        poor = Key(id=name, name=name, role="user", models=[], created=0.0, budget_dollars=budget)
        asked = {"model": "m", **body}
        return asyncio.run(
            self.gateway.ask(asked, endpoint=endpoint, key=poor, key_id=name, key_name=name)
        )


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


@pytest.fixture
def easy(tmp_path: Path) -> Shop:
    return Shop(tmp_path, spender=Indifferent())


USER = {"role": "user", "content": "Hi"}
LONG = {"role": "user", "content": "1234567890" * 400}
CALLED = {
    "role": "assistant",
    "content": "",
    "tool_calls": [{"function": {"name": "f", "arguments": {"image": "1" * 40_000}}}],
}
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "f",
            "description": "d" * 3000,
            "parameters": {"type": "object", "properties": {f"p{i}": {} for i in range(90)}},
        },
    }
]
WAYS: list[tuple[Endpoint, Json]] = [
    (CHAT, {"messages": [USER]}),
    (CHAT, {"messages": [USER], "max_tokens": None}),
    (CHAT, {"messages": [USER], "max_tokens": 0}),
    (CHAT, {"messages": [USER], "max_tokens": -1}),
    (CHAT, {"messages": [USER], "max_completion_tokens": 1, "max_tokens": 900}),
    (CHAT, {"messages": [USER], "max_tokens": 1, "n_predict": 900}),
    (CHAT, {"messages": [USER], "max_output_tokens": 1}),
    (CHAT, {"messages": [USER], "max_tokens": 50, "n": 16}),
    (CHAT, {"messages": [USER], "max_tokens": 50, "n": 4, "best_of": 8}),
    (CHAT, {"messages": [USER], "max_tokens": 50, "n": 4, "use_beam_search": True}),
    (CHAT, {"messages": [USER], "max_tokens": 1, "min_tokens": 800}),
    (CHAT, {"messages": [USER], "max_tokens": 1, "thinking_budget": 800}),
    (CHAT, {"messages": [USER], "max_tokens": 1, "thinking_budget": "800"}),
    (CHAT, {"messages": [USER], "max_tokens": 1, "reasoning": {"max_tokens": 800}}),
    (CHAT, {"messages": [USER], "max_tokens": 1, "reasoning": {"max_tokens": "800"}}),
    (CHAT, {"messages": [USER], "max_tokens": 1, "thinking": {"max_tokens": 800}}),
    (CHAT, {"messages": [USER], "max_tokens": 1, "prediction": {"content": "1" * 800}}),
    (CHAT, {"messages": [LONG], "max_tokens": 1}),
    (CHAT, {"messages": [{"role": "system", "content": "1 2 " * 900}], "max_tokens": 1}),
    (CHAT, {"messages": [USER] * 150, "max_tokens": 1}),
    (CHAT, {"messages": [USER], "tools": TOOLS, "max_tokens": 1}),
    (CHAT, {"messages": [USER], "documents": [{"text": "1" * 3000}], "max_tokens": 1}),
    (CHAT, {"messages": [USER], "documents": [{"source": "1" * 40_000}], "max_tokens": 1}),
    (CHAT, {"messages": [CALLED], "max_tokens": 1}),
    (COMPLETIONS, {"prompt": "Hi"}),
    (COMPLETIONS, {"prompt": "Hi", "max_tokens": 0, "min_tokens": 1}),
    (COMPLETIONS, {"prompt": ["Hi"] * 40, "max_tokens": 20}),
    (COMPLETIONS, {"prompt": [[1, 2]] * 40, "max_tokens": 20}),
    (COMPLETIONS, {"prompt": ["Hi"] * 8, "max_tokens": 20, "n": 4}),
    (COMPLETIONS, {"prompt": ["Hi"] * 8, "max_tokens": 20, "best_of": 4}),
    (COMPLETIONS, {"prompt": "1" * 3000, "max_tokens": 1, "echo": True}),
    (COMPLETIONS, {"prompt": "Hi", "suffix": "1" * 3000, "max_tokens": 1}),
    (COMPLETIONS, {"prompt": ["Hi"] * 40, "suffix": "1" * 3000, "max_tokens": 1}),
    (COMPLETIONS, {"prompt": list(range(4000)), "max_tokens": 1}),
    (EMBEDDINGS, {"input": ["1" * 900] * 20}),
    (EMBEDDINGS, {"input": ["1"] * 40, "instruction": "1" * 3000}),
    (EMBEDDINGS, {"input": [[1] * 900] * 20}),
    (EMBEDDINGS, {"input": [list(range(900)), list(range(900))]}),
    (RESPONSES, {"input": "Hi"}),
    (RESPONSES, {"input": "Hi", "max_output_tokens": None}),
    (RESPONSES, {"input": "Hi", "max_tokens": 1}),
    (RESPONSES, {"input": "Hi", "instructions": "1" * 3000, "max_output_tokens": 1}),
    (MESSAGES, {"max_tokens": 500, "messages": [USER]}),
    (MESSAGES, {"max_tokens": 1, "system": "1" * 3000, "messages": [USER]}),
]


@pytest.mark.parametrize(("endpoint", "body"), WAYS)
def test_no_body_passes_a_budget(endpoint: Endpoint, body: Json, shop: Shop) -> None:
    """$0.01 stay $0.01, however often it is asked; before, these came to up to $1.50."""
    for _ in range(12):
        shop.ask(endpoint, body, 0.01, key="poor")
    assert shop.spender.dollars <= 0.01 + 1e-12


@pytest.mark.parametrize(("endpoint", "body"), WAYS)
def test_what_does_not_fit_is_not_asked(endpoint: Endpoint, body: Json, shop: Shop) -> None:
    """A budget that is less than a request costs never lets it pass."""
    answered = shop.ask(endpoint, body, 1e6)
    if answered.status != 200:
        assert answered.code == "invalid_body"
        return
    cost = shop.spender.dollars
    assert cost > 0
    assert shop.ask(endpoint, body, cost * 0.999).code == "insufficient_quota"
    assert shop.spender.dollars == cost


def budgeted(folder: Path, model: ModelConfig) -> ScriptedGateway:
    """Model m as given, and v, which makes vectors; a token costs a dollar everywhere."""
    gateway = ScriptedGateway(folder)
    price = Price(input=1e6, output=1e6)
    upstreams = {
        name: UpstreamConfig(url=f"http://127.0.0.1:9/{name}", price=price)
        for name in ("one", "copy", "vectors")
    }
    models = {"m": model, "v": ModelConfig(pool=["vectors"])}
    gateway.configure(GatewayConfig(upstreams=upstreams, models=models))
    return gateway


async def spent_by(gateway: ScriptedGateway, budget: float) -> tuple[Answered, float]:
    """One question of a key with that budget, and what it has cost."""
    key = structs.replace(RICH, budget_dollars=budget)
    body = {"model": "m", "messages": [USER], "max_tokens": 1}
    answered = await gateway.ask(body, key=key, key_id=key.id)
    found = await gateway.budgets.spent(month_now())
    return answered, found[key.id].dollars if key.id in found else 0.0


def test_what_a_budget_refuses_is_copied_to_nobody(tmp_path: Path) -> None:
    shadow = ShadowConfig(use=["copy"], share=1.0)
    gateway = budgeted(tmp_path, ModelConfig(pool=["one"], shadow=shadow))
    answered, _ = asyncio.run(spent_by(gateway, 1.0))
    assert answered.code == "insufficient_quota"
    assert not gateway.opened
    answered, _ = asyncio.run(spent_by(gateway, 1e6))
    assert answered.status == 200
    assert sorted(each.upstream for each in gateway.opened) == ["copy", "one"]


def test_a_question_s_vector_is_paid_for(tmp_path: Path) -> None:
    cache = CacheConfig(semantic=SemanticConfig(model="v"))
    gateway = budgeted(tmp_path, ModelConfig(pool=["one"], cache=cache))
    answered, dollars = asyncio.run(spent_by(gateway, 1e6))
    assert answered.status == 200
    assert sorted(each.upstream for each in gateway.opened) == ["one", "vectors"]
    assert dollars == 5 + 6


def test_a_question_s_vector_is_reserved_for(tmp_path: Path) -> None:
    """The least budget with which it is answered is larger where it is looked up by its meaning."""
    least = {}
    for name, semantic in (("words", None), ("meaning", SemanticConfig(model="v"))):
        folder = tmp_path / name
        folder.mkdir()
        gateway = budgeted(folder, ModelConfig(pool=["one"], cache=CacheConfig(semantic=semantic)))
        least[name] = next(
            budget
            for budget in range(100, 300)
            if asyncio.run(spent_by(gateway, float(budget)))[0].status == 200
        )
    assert least["meaning"] - least["words"] >= len(USER["content"])


def test_a_text_of_marks_is_counted_in_a_moment(shop: Shop) -> None:
    """Python sorts them by insertion, and nobody is served meanwhile: 3 s for 64 KB."""
    marks = {"role": "user", "content": "a" + "\u0301\u0327" * 30_000}
    start = time.process_time()
    answered = shop.ask(CHAT, {"messages": [marks], "max_tokens": 1}, budget=1.0)
    assert answered.status == 200
    assert time.process_time() - start < 1.0


def test_a_long_text_is_counted_beside_the_loop(shop: Shop) -> None:
    said = {"role": "user", "content": "\ufdfa" * 600_000}
    gateway = shop.gateway

    turns = 0

    async def asked() -> Answered:
        loop = asyncio.get_running_loop()

        def turn() -> None:
            nonlocal turns
            turns += 1
            loop.call_later(0.001, turn)

        turn()
        return await gateway.ask(
            {"model": "m", "messages": [said], "max_tokens": 1}, key=RICH, key_id="k"
        )

    answered = asyncio.run(asked())
    assert answered.status == 200
    assert turns > 5


def test_a_small_model_that_answers_first_is_reserved_for(tmp_path: Path) -> None:
    shop = Shop(tmp_path, hybrid=True)
    body = {"messages": [USER], "max_tokens": 500}
    assert shop.ask(CHAT, body, 1e6).status == 200
    assert shop.spender.asked == 2
    assert shop.ask(CHAT, body, shop.spender.dollars * 0.999).code == "insufficient_quota"


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [USER]},
        {"messages": [USER], "max_tokens": 4096},
        {"messages": [USER], "n": 4},
    ],
)
def test_an_answer_is_reserved_for_up_to_the_context(tmp_path: Path, body: Json) -> None:
    """4,096 tokens are sent where a body bounds none: a model of 1,024 writes no such answer."""
    copies = body.get("n", 1)
    budget = PRICE[1] * 1e-6 * 1500 * copies
    unbounded = Shop(tmp_path, spender=Indifferent())
    assert unbounded.ask(CHAT, body, budget).code == "insufficient_quota"
    shop = Shop(tmp_path, spender=Indifferent(), context=1024)
    assert shop.ask(CHAT, body, budget).status == 200
    assert shop.ask(CHAT, body, PRICE[1] * 1e-6 * 1000 * copies).code == "insufficient_quota"


# -- any body

words = st.text(max_size=30) | st.text("0123456789", max_size=60) | st.just("\ufdfa" * 9)
limits = st.none() | st.integers(-2, 400)
counts = st.none() | st.integers(1, 5)
flags = st.none() | st.booleans()
budgets = st.none() | st.integers(0, 300)


def bodies(required: dict[str, Any], **optional: Any) -> st.SearchStrategy[Json]:
    return st.fixed_dictionaries(
        {
            name: st.just(value) if isinstance(value, list | str) else value
            for name, value in required.items()
        },
        optional=optional,
    )


part = st.fixed_dictionaries({"type": st.just("text"), "text": words})
picture = st.just({"type": "image_url", "image_url": {"url": "https://a.example/b.png"}})
call = st.builds(
    lambda name, said: {
        "id": "c",
        "type": "function",
        "function": {"name": name, "arguments": said},
    },
    words,
    words,
)
message = st.fixed_dictionaries(
    {
        "role": st.sampled_from(["system", "user", "assistant", "tool"]),
        "content": words | st.lists(part | picture, max_size=3),
    },
    optional={"name": words, "tool_calls": st.lists(call, max_size=2)},
)
tool = st.builds(
    lambda name, about, keys: {
        "type": "function",
        "function": {
            "name": name,
            "description": about,
            "parameters": {"type": "object", "properties": {key: {} for key in keys}},
        },
    },
    words,
    words,
    st.lists(words, max_size=4),
)
generating = {
    "max_tokens": limits,
    "n": counts,
    "best_of": counts,
    "use_beam_search": flags,
    "min_tokens": budgets,
    "thinking_budget": budgets | budgets.map(str).filter(str.isdigit),
    "n_predict": limits,
    "echo": flags,
    "model": st.just("m"),
}
chats = bodies(
    {"messages": st.lists(message, min_size=1, max_size=4)},
    **generating,
    max_completion_tokens=limits,
    tools=st.lists(tool, max_size=3),
    documents=st.lists(st.fixed_dictionaries({"text": words}), max_size=2),
    reasoning=st.fixed_dictionaries({"max_tokens": budgets}),
    thinking=st.fixed_dictionaries({"budget_tokens": budgets}),
    prediction=st.fixed_dictionaries({"type": st.just("content"), "content": words}),
    prompt=words,
)
tokens = st.lists(st.integers(0, 9), min_size=1, max_size=30)
texts = words | st.lists(words, min_size=1, max_size=4) | tokens | st.lists(tokens, min_size=1)
completions = bodies({"prompt": texts}, **generating, suffix=words, messages=st.just([USER]))
embeddings = bodies({"input": texts}, max_tokens=limits, n=counts, instruction=words)
item = st.fixed_dictionaries({"role": st.just("user"), "content": words})
responses = bodies(
    {"input": words | st.lists(item, min_size=1, max_size=3)},
    max_output_tokens=limits,
    max_tokens=limits,
    instructions=words,
    reasoning=st.fixed_dictionaries({"max_tokens": budgets}),
    tools=st.lists(tool, max_size=2),
)
anthropics = bodies(
    {"messages": st.lists(item, min_size=1, max_size=3), "max_tokens": st.integers(-1, 400)},
    system=words,
)


def _with(endpoint: Endpoint, body: Json) -> tuple[Endpoint, Json]:
    return endpoint, body


ASKED = [
    (CHAT, chats),
    (COMPLETIONS, completions),
    (EMBEDDINGS, embeddings),
    (RESPONSES, responses),
    (MESSAGES, anthropics),
]


@pytest.mark.parametrize(("endpoint", "asked"), ASKED, ids=[each.path for each, _ in ASKED])
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_a_reservation_is_an_upper_bound(
    endpoint: Endpoint, asked: st.SearchStrategy[Json], data: st.DataObject, shop: Shop
) -> None:
    """Against a server that spends all that a body allows: what costs more than a budget has never
    been asked for.
    """
    body = data.draw(asked)
    shop.spender.dollars = 0.0
    answered = shop.ask(endpoint, body, 1e6)
    if answered.status != 200:
        assert answered.status == 400, answered
        assert shop.spender.dollars == 0.0
        return
    cost = shop.spender.dollars
    again = shop.ask(endpoint, body, cost * 0.999)
    assert again.code == "insufficient_quota" or cost == 0.0


anything = st.one_of([bodies_.map(partial(_with, each)) for each, bodies_ in ASKED])


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(asked=st.lists(anything, min_size=2, max_size=8), cents=st.integers(1, 9))
def test_what_is_spent_never_passes_a_budget(
    asked: list[tuple[Endpoint, Json]], cents: int, shop: Shop
) -> None:
    shop.spender.dollars = 0.0
    key = f"s{next(NUMBERS)}"
    for endpoint, body in asked:
        shop.ask(endpoint, body, cents / 100, key=key)
    assert shop.spender.dollars <= cents / 100 + 1e-12


ODD: list[Any] = [
    True,
    -1,
    5.0,
    1.5,
    10**40,
    -(10**40),
    1e308,
    "",
    "x",
    [],
    {},
    [None],
    [[[1]]],
    [1, "a", None, {"x": 1}],
    {"type": 5},
    [{"role": {"a": 1}}],
    [{"content": [5, None, {"type": None}]}],
    [{"tool_calls": [{"function": 5}]}],
    [{"function_call": {"arguments": "{\\"}}],
    {"budget_tokens": 10**30},
    {"max_tokens": -1},
    [{"image_url": {"url": 5}}],
    [{"file": {"file_data": "data:text/plain;base64,!!!"}}],
    [{"file": {"file_data": "data:"}}],
    [{"type": ["x"]}],
]
PLAIN: list[tuple[Endpoint, Json]] = [
    (CHAT, {"messages": [USER]}),
    (COMPLETIONS, {"prompt": "x"}),
    (EMBEDDINGS, {"input": "x"}),
    (RESPONSES, {"input": "x"}),
    (MESSAGES, {"max_tokens": 5, "messages": [USER]}),
]


class Indifferent(Spender):
    """Answers whatever it is asked."""

    async def ask(self, method: str, path: str, body: bytes, *_: Any, **__: Any) -> ScriptedReply:
        del method, path, body
        choice = {"index": 0, "message": {"content": "x"}, "text": "x", "finish_reason": "stop"}
        said = {"choices": [choice], "output": [], "status": "completed"}
        return ScriptedReply(200, msgspec.json.encode(said), b"application/json")


@pytest.mark.parametrize(("endpoint", "plain"), PLAIN, ids=[each.path for each, _ in PLAIN])
@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_no_value_of_any_field_is_a_bug_of_ours(
    endpoint: Endpoint, plain: Json, data: st.DataObject, easy: Shop
) -> None:
    """It is sent, or refused as the client's; one that raises would fail here."""
    names = data.draw(st.lists(st.sampled_from([*endpoint.fields, "unknown"]), max_size=3))
    more = {name: data.draw(st.sampled_from(ODD)) for name in names}
    assert easy.ask(endpoint, {**plain, **more}, 1e9).status in (200, 400, 404)
