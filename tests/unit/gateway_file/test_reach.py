"""Where private prompts of each model can go, as `--check` tells it."""

from __future__ import annotations

from typing import Any

import pytest

from llmops_cli.gateway_file.config import GatewayConfig, RedisConfig
from llmops_cli.gateway_file.model import (
    CacheConfig,
    CanaryConfig,
    HybridConfig,
    ModelConfig,
    RuleConfig,
    SemanticConfig,
    ShadowConfig,
)
from llmops_cli.gateway_file.reach import Binding, PrivateReach, reaches
from llmops_cli.gateway_file.upstream import UpstreamConfig

NEAR = RuleConfig(private=True, use=["near"])


def reach(model: ModelConfig, **more: Any) -> PrivateReach:
    """Of a model beside b, whose pool is `far`."""
    upstreams = {name: UpstreamConfig(url="http://127.0.0.1:9") for name in ("near", "far", "new")}
    models = {"a": model, "b": ModelConfig(pool=["far"])}
    return reaches(GatewayConfig(upstreams=upstreams, models=models, **more))[0]


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"fallback": ["b"]},
        {"hybrid": HybridConfig(small="b")},
        {"shadow": ShadowConfig(use=["far"])},
        {"canary": CanaryConfig(use=["far"])},
        {"cache": CacheConfig(semantic=SemanticConfig(model="b"))},
    ],
)
def test_a_rule_for_all_private_prompts_binds_every_path(more: dict[str, Any]) -> None:
    found = reach(ModelConfig(pool=["far"], rules=[NEAR], **more))
    assert (found.bound, found.may_see, found.may_not) == (Binding.ALL, ["near"], ["far"])
    assert found.cached_in == ""


@pytest.mark.parametrize(
    ("rule", "bound", "may_see", "may_not"),
    [
        (RuleConfig(private=True, longer_than=9, use=["near"]), "some", ["far", "near"], []),
        (RuleConfig(private=True, keys=["me"], use=["near"]), "some", ["far", "near"], []),
        (RuleConfig(private=False, use=["new"]), "all", ["far"], ["new"]),
        (RuleConfig(longer_than=9, use=["new"]), "none", ["far", "new"], []),
    ],
)
def test_what_other_rules_bind(
    rule: RuleConfig, bound: str, may_see: list[str], may_not: list[str]
) -> None:
    found = reach(ModelConfig(pool=["far"], rules=[rule]))
    assert (found.bound, found.may_see, found.may_not) == (bound, may_see, may_not)


def test_a_model_without_a_rule_sends_them_everywhere() -> None:
    found = reach(ModelConfig(pool=["near"], fallback=["b"], shadow=ShadowConfig(use=["new"])))
    assert (found.bound, found.may_see) == (Binding.NONE, ["far", "near", "new"])


def test_where_their_answers_are_kept() -> None:
    plain = ModelConfig(pool=["far"])
    bound = ModelConfig(pool=["far"], rules=[NEAR])
    redis = RedisConfig(url="redis://127.0.0.1:6379/0")
    assert reach(plain, cache=CacheConfig()).cached_in == "here"
    assert reach(plain, cache=CacheConfig(), redis=redis).cached_in == "redis"
    assert reach(bound, cache=CacheConfig(), redis=redis).cached_in == ""
    assert reach(bound, cache=CacheConfig(private=True), redis=redis).cached_in == "redis"


def test_without_models_no_rule_binds() -> None:
    upstreams = {"one": UpstreamConfig(url="http://127.0.0.1:9")}
    (found,) = reaches(GatewayConfig(upstreams=upstreams))
    assert (found.model, found.bound, found.may_see) == ("*", Binding.NONE, ["one"])
