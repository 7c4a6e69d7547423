"""A file is refused with its line, or it runs: nothing in between."""

from __future__ import annotations

import asyncio
import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmops_cli.core.errors import EnvironmentMissing, UsageError
from llmops_cli.gateway_file.oddities import oddities_in
from llmops_cli.gateway_file.reach import reaches
from llmops_cli.gateway_file.read import load_config
from tests.unit.serve.scripted import Script, ScriptedGateway

FILE = """
upstreams:
  one: {url: http://127.0.0.1:9/v1, price: {input: 1, output: 2}, can: [tools], max_in_flight: 4}
  two:
    url: http://127.0.0.1:9/v2
    price: {gpu_hour: 2, tokens_per_s: 100}
    timeouts: {connect_s: 1, total_s: 5}
models:
  a:
    pool: [one, {upstream: two, model: theirs, weight: 2}]
    balance: cost
    rules:
    - {private: true, use: [two]}
    - {longer_than: 5, shorter_than: 9000, use: [one], keys: [me]}
    - {needs: tools, urgency: batch, use: [one]}
    fallback: [b]
    adapters: [lora]
    hybrid: {small: b, sure: 0.5}
    canary: {use: [{upstream: one, model: new}], steps: [5, 100], step_s: 10, ttft: 2}
    shadow: {use: [two], share: 0.5, at_once: 2}
    cache: {ttl_s: 5, semantic: {model: b, threshold: 0.9, entries: 5}, stale: true}
    hedge_after_s: 0.5
  b: {colours: {blue: [two], green: [one]}, live: blue}
limits:
  key: {requests_per_minute: 60, tokens_per_minute: 6000, streams: 4}
  models: {a: {streams: 5}}
  trusted_proxies: [10.0.0.0/8]
  answer_tokens: 1000
  drain_s: 5
queue: {depth: 5, wait_s: 1}
retries: {most: 1, budget: 0.5}
redis: {url: 'redis://127.0.0.1:6379/0', when_down: alone}
cache: {ttl_s: 60}
audit: {on: true, bodies: false}
guard: default
keys_required: true
traces: http://127.0.0.1:4318
"""
WHOLE: dict[str, Any] = yaml.safe_load(FILE.replace("{on:", "{'on':"))
ODD = [
    *(None, "", " ", "\n", "x" * 300, "a", "b", "one", "lora", "\u202e", "*", "${NOPE}"),
    *("/etc/passwd", "http://127.0.0.1:9/v1", "redis://", "blue", "green", "genai", "private"),
    *(0, 1, -1, 2, 1e308, float("inf"), float("nan"), 10**30, True, False),
    *([], {}, ["one"], ["one", "one"], [None], [[]], {"use": []}, {"": ""}, ["a"]),
    *({"upstream": "one"}, {"model": "a"}, [5, 5], [100, 5]),
]


def places_in(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Of every value, by the steps to it."""
    found = [at] if at else []
    steps: Any = ()
    if isinstance(value, dict):
        steps = value.items()
    elif isinstance(value, list):
        steps = enumerate(value)
    for step, inner in steps:
        found += places_in(inner, (*at, step))
    return found


PLACES = places_in(WHOLE)


def changed(whole: Any, place: tuple[Any, ...], odd: Any, *, drops: bool) -> None:
    inner = whole
    try:
        for step in place[:-1]:
            inner = inner[step]
        if drops:
            del inner[place[-1]]
        else:
            inner[place[-1]] = copy.deepcopy(odd)
    except (KeyError, IndexError, TypeError):
        return  # an earlier change has taken it away


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> ScriptedGateway:
    return ScriptedGateway(tmp_path_factory.mktemp("state"))


changes = st.lists(
    st.tuples(st.sampled_from(PLACES), st.sampled_from(ODD), st.booleans()), min_size=1, max_size=3
)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(changes=changes)
def test_what_passes_runs(
    changes: list[tuple[tuple[Any, ...], Any, bool]],
    gateway: ScriptedGateway,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    whole = copy.deepcopy(WHOLE)
    for place, odd, drops in changes:
        changed(whole, place, odd, drops=drops)
    file: Path = tmp_path_factory.getbasetemp() / "gateway.yaml"
    file.write_text(yaml.safe_dump(whole, allow_unicode=True))
    try:
        config = load_config(file)
    except (UsageError, EnvironmentMissing) as error:
        assert "\n" not in error.message
        return
    list(oddities_in(config))
    reaches(config)
    gateway.scripts = lambda _: Script()
    gateway.configure(config)
    for name in [*config.models, "lora"]:
        body = {"model": name, "messages": [{"role": "user", "content": "Hi"}]}
        answer = asyncio.run(gateway.ask(body))
        assert answer.status in (200, 400, 404, 429, 503), (name, answer)
