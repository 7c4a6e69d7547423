"""Whether a request meets a rule of the file."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llmops_cli.gateway_file.model import RuleConfig
from llmops_cli.serve.context import Asked
from llmops_cli.serve.request import CHARS_PER_TOKEN

IsPrivate = Callable[[Asked], bool]
"""Whether there is personal data in a request, which takes a while to find."""


def first_met(
    rules: Sequence[RuleConfig],
    asked: Asked,
    is_private: IsPrivate,
) -> RuleConfig | None:
    for rule in rules:
        if _meets(rule, asked, is_private):
            return rule
    return None


def _meets(
    rule: RuleConfig,
    asked: Asked,
    is_private: IsPrivate,
) -> bool:
    """All that the rule says."""
    if not _has_length(rule, asked) or not _is_of(rule, asked):
        return False
    if rule.urgency not in (None, asked.urgency):
        return False
    if rule.needs and rule.needs not in asked.body.needs():
        return False
    return rule.private is None or is_private(asked) == rule.private


def _has_length(rule: RuleConfig, asked: Asked) -> bool:
    tokens = asked.body_bytes // CHARS_PER_TOKEN
    if rule.longer_than is not None and tokens <= rule.longer_than:
        return False
    return rule.shorter_than is None or tokens < rule.shorter_than


def _is_of(rule: RuleConfig, asked: Asked) -> bool:
    """By key, if the rule names any."""
    if not rule.keys:
        return True
    return asked.key_id in rule.keys or asked.key_name in rule.keys
