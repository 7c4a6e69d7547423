"""No path from a private prompt to an upstream that its rules do not name."""

from __future__ import annotations

import ast
import asyncio
import itertools
import random
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import llmops_cli.serve
from llmops_cli.gateway_file.config import GatewayConfig
from llmops_cli.gateway_file.model import (
    CacheConfig,
    CanaryConfig,
    HybridConfig,
    ModelConfig,
    RuleConfig,
    SemanticConfig,
    ShadowConfig,
)
from llmops_cli.gateway_file.upstream import UpstreamConfig
from llmops_cli.serve.context import ANYBODY
from llmops_cli.serve.endpoints import (
    CHAT,
    COMPLETIONS,
    COUNT_TOKENS,
    EMBEDDINGS,
    MESSAGES,
    RESPONSES,
)
from llmops_cli.serve.passed_endpoints import PASSED
from llmops_cli.serve.upstreams import opening
from tests.unit.serve.scripted import Opened, Script, ScriptedGateway

UPSTREAMS = ("u0", "u1", "u2", "u3", "u4")
MODELS = ("a", "b", "c")
EMBEDDER = "embedder"
CARD = "My card is 4111 1111 1111 1111, why was it refused?"
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
AUDIO = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
KEYS = itertools.count()
"""A key for each request, so that no answer is one of before."""
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": f'{{"q": "{CARD}"}}'}}


def chat(*messages: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"messages": [*messages, {"role": "user", "content": "And now?"}], **more}


def user(content: object) -> dict[str, Any]:
    return {"role": "user", "content": content}


PRIVATE = [
    (CHAT, chat(user(CARD))),
    (CHAT, {"messages": [user(CARD)]}),
    (CHAT, chat({"role": "system", "content": CARD})),
    (CHAT, chat({"role": "assistant", "content": CARD})),
    (CHAT, chat({"role": "assistant", "content": None, "tool_calls": [CALL]})),
    (CHAT, chat({"role": "tool", "tool_call_id": "c", "content": CARD})),
    (CHAT, chat(user([{"type": "text", "text": CARD}]))),
    (CHAT, chat(user([IMAGE]))),
    (CHAT, chat(user([AUDIO]))),
    (CHAT, chat(user([{"type": "some_new_part", "value": 1}]))),
    (CHAT, chat(tools=[{"type": "function", "function": {"name": "f", "description": CARD}}])),
    (CHAT, chat(user="bob@example.com")),
    (CHAT, chat(metadata={"who": "bob@example.com"})),
    (CHAT, chat(some_new_field=[{"deep": CARD}])),
    (COMPLETIONS, {"prompt": CARD}),
    (COMPLETIONS, {"prompt": ["Hi", CARD]}),
    (COMPLETIONS, {"prompt": [1, 2, 3]}),
    (COMPLETIONS, {"prompt": [[1, 2, 3]]}),
    (COMPLETIONS, {"prompt": "Hi", "suffix": CARD}),
    (EMBEDDINGS, {"input": [CARD]}),
    (EMBEDDINGS, {"input": [1, 2]}),
    (RESPONSES, {"input": CARD}),
    (RESPONSES, {"input": "Hi", "instructions": CARD}),
    (RESPONSES, {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]}),
    (MESSAGES, {"max_tokens": 5, "system": CARD, "messages": [user("Hi")]}),
    (COUNT_TOKENS, {"messages": [user(CARD)]}),
    (PASSED["/v1/rerank"], {"query": "Who?", "documents": ["Hi", CARD]}),
    (PASSED["/v1/score"], {"text_1": "Hi", "text_2": [CARD]}),
    (PASSED["/tokenize"], {"prompt": CARD}),
    (PASSED["/detokenize"], {"tokens": [1, 2]}),
    (PASSED["/v1/audio/speech"], {"input": CARD, "voice": "v"}),
    (PASSED["/v1/images/generations"], {"prompt": CARD}),
]

pools = st.lists(st.sampled_from(UPSTREAMS), min_size=1, max_size=3, unique=True)
rules = st.builds(
    RuleConfig,
    use=pools,
    private=st.sampled_from([True, True, False, None]),
    longer_than=st.sampled_from([None, None, 1, 10_000]),
    urgency=st.sampled_from([None, None, "batch"]),
    keys=st.sampled_from([[], [], ["nobody"]]),
)


@st.composite
def models(draw: st.DrawFn, name: str) -> ModelConfig:
    others = [other for other in MODELS if other != name]
    pool = draw(pools)
    is_coloured = draw(st.booleans())
    semantic = SemanticConfig(model=EMBEDDER, threshold=0.5)
    cache = CacheConfig(private=draw(st.booleans()), semantic=semantic)
    return ModelConfig(
        pool=[] if is_coloured else pool,
        colours={"blue": pool, "green": draw(pools)} if is_coloured else {},
        live="blue" if is_coloured else None,
        rules=draw(st.lists(rules, max_size=3)),
        fallback=draw(st.lists(st.sampled_from(others), max_size=2, unique=True)),
        adapters=[f"{name}-lora"],
        hybrid=draw(st.none() | st.builds(HybridConfig, small=st.sampled_from(others))),
        canary=draw(st.none() | st.builds(CanaryConfig, use=pools, steps=st.just([100]))),
        shadow=draw(st.none() | st.builds(ShadowConfig, use=pools, share=st.just(1.0))),
        cache=draw(st.none() | st.just(cache)),
        hedge_after_s=draw(st.sampled_from([None, 0.001])),
        balance=draw(st.sampled_from(["tokens", "prefix", "sticky", "cost"])),
    )


@st.composite
def configs(draw: st.DrawFn) -> GatewayConfig:
    found = {name: draw(models(name)) for name in MODELS}
    found[EMBEDDER] = ModelConfig(pool=draw(pools), rules=draw(st.lists(rules, max_size=2)))
    upstreams = {name: UpstreamConfig(url=f"http://127.0.0.1:9/{name}") for name in UPSTREAMS}
    return GatewayConfig(upstreams=upstreams, models=found)


def may_see(model: ModelConfig, body_bytes: int) -> set[str]:
    """What a model's first privacy rule that holds says, read off the file by other means."""
    for rule in model.rules:
        if not rule.private or rule.keys or rule.urgency == "batch":
            continue
        if rule.longer_than is None or body_bytes // 4 > rule.longer_than:
            return set(map(str, rule.use))
    if all(rule.private is not False for rule in model.rules):
        return set(UPSTREAMS)
    for rule in model.rules:
        if rule.private is not None or rule.keys or rule.urgency == "batch":
            continue
        if rule.longer_than is None or body_bytes // 4 > rule.longer_than:
            return set(map(str, rule.use))
    return set(map(str, model.members()))


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> ScriptedGateway:
    return ScriptedGateway(tmp_path_factory.mktemp("state"))


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    config=configs(),
    case=st.sampled_from(PRIVATE),
    name=st.sampled_from(["a", "b", "c", "a-lora"]),
    stream=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_a_private_prompt_reaches_only_what_the_rules_name(
    gateway: ScriptedGateway,
    config: GatewayConfig,
    case: tuple[Any, dict[str, Any]],
    name: str,
    stream: bool,
    seed: int,
) -> None:
    endpoint, body = case
    chance = random.Random(seed)

    def script(_: Opened) -> Script:
        return Script(chance.choice([200, 200, 500, 0, 429]), chance.choice([0, 0, 0.003]))

    gateway.scripts = script
    gateway.opened.clear()
    gateway.configure(config)
    whole = {"model": name, "stream": stream, **body}
    if endpoint not in (CHAT, COMPLETIONS, RESPONSES, MESSAGES):
        del whole["stream"]
    key = msgspec.structs.replace(ANYBODY, id=f"key{next(KEYS)}")
    answer = asyncio.run(gateway.ask(whole, endpoint=endpoint, key=key))
    size = len(str(whole).encode())
    asked = config.models[name.removesuffix("-lora")]
    if any(rule.longer_than == 1 for rule in asked.rules):
        assert size // 4 > 1
    allowed = may_see(asked, size)
    for opened in gateway.opened:
        own = config.models[opened.model.removesuffix("-lora")]
        assert opened.upstream in allowed & may_see(own, size)
    assert gateway.opened or answer.status in (400, 503)


def private_over_public(**more: Any) -> GatewayConfig:
    """Model a keeps personal data on `near`; everything else that it has is `far`."""
    urls = {name: UpstreamConfig(url=f"http://127.0.0.1:9/{name}") for name in ("near", "far")}
    rule = RuleConfig(private=True, use=["near"])
    found = {
        "a": ModelConfig(pool=["far"], rules=[rule], **more),
        "b": ModelConfig(pool=["far"]),
    }
    return GatewayConfig(upstreams=urls, models=found)


@pytest.mark.parametrize(
    "more",
    [
        {"fallback": ["b"]},
        {"shadow": ShadowConfig(use=["far"], share=1.0)},
        {"hybrid": HybridConfig(small="b")},
        {"canary": CanaryConfig(use=["far"], steps=[100])},
        {"cache": CacheConfig(semantic=SemanticConfig(model="b"), private=True)},
        {"hedge_after_s": 0.001},
    ],
    ids=lambda more: next(iter(more)),
)
def test_when_nothing_private_answers_the_client_is_told_so(
    more: dict[str, Any], gateway: ScriptedGateway
) -> None:
    gateway.opened.clear()
    gateway.scripts = lambda _: Script(status=0)
    gateway.configure(private_over_public(**more))
    answer = asyncio.run(gateway.ask({"model": "a", "messages": [user(CARD)]}))
    assert answer.status == 502
    assert {opened.upstream for opened in gateway.opened} == {"near"}
    answer = asyncio.run(gateway.ask({"model": "a", "messages": [user("Hi")]}))
    assert "far" in {opened.upstream for opened in gateway.opened}


def test_a_rule_for_privacy_goes_before_all_others(gateway: ScriptedGateway) -> None:
    gateway.opened.clear()
    gateway.scripts = lambda _: Script()
    config = private_over_public()
    config.models["a"].rules.insert(0, RuleConfig(needs="tools", use=["far"]))
    gateway.configure(config)
    tool = {"type": "function", "function": {"name": "f"}}
    body = {"model": "a", "messages": [user(CARD)], "tools": [tool]}
    assert asyncio.run(gateway.ask(body)).status == 200
    assert [opened.upstream for opened in gateway.opened] == ["near"]


def test_answers_of_private_prompts_are_kept_only_where_the_file_says_so(
    gateway: ScriptedGateway,
) -> None:
    gateway.scripts = lambda _: Script()
    body = {"model": "a", "messages": [user(CARD)]}
    for private, times in ((False, 2), (True, 1)):
        gateway.opened.clear()
        gateway.configure(private_over_public(cache=CacheConfig(private=private)))
        for _ in range(2):
            assert asyncio.run(gateway.ask(body)).status == 200
        assert len(gateway.opened) == times


def test_what_an_upstream_gets_passes_one_door() -> None:
    """`opened` asks whether an upstream may see it; a body that leaves elsewhere is not asked."""
    found = []
    for file in Path(llmops_cli.serve.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                first = node.args[0] if node.args else None
                if node.func.attr == "ask" and getattr(first, "value", "") == "POST":
                    found.append(file.name)
    assert set(found) == {"opening.py"}
    text = Path(opening.__file__).read_text()
    assert text.count("upstream.origin") == 1, "behind the one question"


def test_a_request_for_which_nothing_is_decided_reaches_nobody(gateway: ScriptedGateway) -> None:
    from llmops_cli.serve.context import RequestContext
    from llmops_cli.serve.refusal import Refusal

    gateway.opened.clear()
    snapshot = gateway.configure(private_over_public())
    context = RequestContext(CHAT.path, CHAT)

    async def leave() -> None:
        await snapshot.dispatcher.open("b", context, {})

    with pytest.raises(Refusal, match="personal data"):
        asyncio.run(leave())
    assert gateway.opened == []
