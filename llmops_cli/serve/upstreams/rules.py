"""Whether a request meets a rule of the file, and where rules let it go."""

from __future__ import annotations

from collections.abc import Sequence

from llmops_cli.gateway_file.model import ModelConfig, RuleConfig, upstream_of
from llmops_cli.gateway_file.privacy import in_order, keeps_personal_out
from llmops_cli.serve.context import Asked
from llmops_cli.serve.upstreams.destinations import ANYWHERE, Destinations, only


def destinations_of(model: ModelConfig, asked: Asked) -> Destinations:
    """Upstreams that this model's rules allow, on whatever path a request comes to them."""
    if not asked.personal or not model.rules:
        return ANYWHERE
    rule = first_met(model.rules, asked)
    if rule is not None and rule.private:
        return only(map(upstream_of, rule.use))
    if keeps_personal_out(model):
        return only(map(upstream_of, rule.use if rule else model.members()))
    return ANYWHERE


def first_met(rules: Sequence[RuleConfig], asked: Asked) -> RuleConfig | None:
    for rule in in_order(rules):
        if _meets(rule, asked):
            return rule
    return None


def _meets(rule: RuleConfig, asked: Asked) -> bool:
    """All that the rule says."""
    if not _has_length(rule, asked) or not _is_of(rule, asked):
        return False
    if rule.urgency not in (None, asked.urgency):
        return False
    if rule.needs and rule.needs not in asked.needs():
        return False
    return rule.private is None or asked.personal == rule.private


def _has_length(rule: RuleConfig, asked: Asked) -> bool:
    tokens = asked.prompt_tokens()
    if rule.longer_than is not None and tokens <= rule.longer_than:
        return False
    return rule.shorter_than is None or tokens < rule.shorter_than


def _is_of(rule: RuleConfig, asked: Asked) -> bool:
    """By key, if the rule names any."""
    if not rule.keys:
        return True
    return asked.key_id in rule.keys or asked.key_name in rule.keys
