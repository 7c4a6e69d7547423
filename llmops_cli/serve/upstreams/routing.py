"""Which upstreams a request may go to, best first: rules, canary, balance, capabilities."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from typing import NamedTuple

from llmops_cli.core.errors import unknown_name
from llmops_cli.gateway_file.config import GatewayConfig
from llmops_cli.gateway_file.model import ModelConfig, PoolMember, RuleConfig
from llmops_cli.serve.context import Asked
from llmops_cli.serve.refusal import Refusal
from llmops_cli.serve.request import CHARS_PER_TOKEN
from llmops_cli.serve.upstreams.canary import Canaries
from llmops_cli.serve.upstreams.upstream import Upstream

BOUND = 1.25
"""Affinity yields where an upstream has more than this times its share of what is in flight
(Mirrokni et al., Consistent hashing with bounded loads, 2016).
"""
BY_ITSELF = ModelConfig()


class Choice(NamedTuple):
    """One upstream, and what it calls the model. `held`: a stream is not passed on before its first
    word.
    """

    upstream: Upstream
    model: str
    weight: float = 1.0
    side: str = "stable"
    held: bool = False


class Router:
    """The names of one configuration. `is_private` judges texts when a rule asks for it."""

    def __init__(
        self,
        config: GatewayConfig,
        upstreams: dict[str, list[Upstream]],
        canaries: Canaries,
        *,
        is_private: Callable[[Asked], bool],
    ) -> None:
        self._config = config
        self._upstreams = upstreams
        self._canaries = canaries
        self._is_private = is_private
        self._adapters = {
            adapter: name for name, model in config.models.items() for adapter in model.adapters
        }
        self._random = random.Random()
        self._solo = {name: PoolMember(upstream=name) for name in upstreams}

    def names(self) -> set[str]:
        """What clients may ask for."""
        if self._config.models:
            return set(self._config.models) | set(self._adapters)
        return {
            model
            for group in self._upstreams.values()
            for each in group
            for model in each.models or ()
        }

    def lists(self, alias: str) -> bool:
        """Whether it is one of ours: a name that only the client knows is no label for a metric."""
        if self._config.models:
            return alias in self._config.models
        return any(
            alias in each.models
            for group in self._upstreams.values()
            for each in group
            if each.models
        )

    def model(
        self, name: str, *, shows: Callable[[str], bool] | None = None
    ) -> tuple[str, ModelConfig]:
        """(the alias whose settings count, its settings). `shows`: names that whoever asks may be
        told of.

        Raises: Refusal for a name that does not exist.
        """
        if self._config.models:
            alias = self._adapters.get(name, name)
            found = self._config.models.get(alias)
            if found is not None:
                return alias, found
        elif name in self.names() or any(
            each.models is None for group in self._upstreams.values() for each in group
        ):
            return name, BY_ITSELF
        known = [each for each in self.names() if shows is not None and shows(each)]
        hint = unknown_name("model", name, known).hint if known else None
        raise Refusal(
            404,
            f"there is no model {name[:128]!r}" + (f": {hint}" if hint else ""),
            code="model_not_found",
        )

    def choices(self, name: str, asked: Asked) -> list[Choice]:
        """Every upstream that could answer, best first, whether it is usable now or not.

        Raises: Refusal if there is no such model, or no upstream that can do what is asked.
        """
        alias, model = self.model(name)
        if model is BY_ITSELF:
            groups = self._upstreams.items()
            found = [
                Choice(u, name)
                for _, group in groups
                for u in group
                if u.models and name in u.models
            ]
            found = found or [
                Choice(u, name) for _, group in groups for u in group if u.models is None
            ]
            return self._ordered(found, "tokens", asked) if len(found) > 1 else found
        rule = next((rule for rule in model.rules if self._meets(rule, asked)), None)
        members = rule.use if rule else model.members()
        found = self._expand(members, name, alias)
        needs = asked.body.needs()
        able = [choice for choice in found if choice.upstream.can(needs)] if needs else found
        if not able:
            raise Refusal(
                400,
                f"no upstream of {name[:128]!r} can do {', '.join(sorted(needs))}",
                code="unsupported",
            )
        ordered = self._ordered(able, model.balance, asked)
        share = self._canaries.share(alias) if model.canary and rule is None else 0
        if share and model.canary and self._draw(asked) < share:
            new = [
                choice._replace(side="canary")
                for choice in self._expand(model.canary.use, name, alias)
            ]
            ordered = self._ordered(new, model.balance, asked) + ordered
        return ordered

    def shadow(self, name: str) -> list[Choice]:
        """Who gets a copy of this request, if anybody."""
        if not self._config.models:
            return []
        alias, model = self.model(name)
        if model.shadow is None or self._random.random() >= model.shadow.share:
            return []
        return [c for c in self._expand(model.shadow.use, name, alias) if c.upstream.usable()]

    def _draw(self, asked: Asked) -> float:
        """0 to 100: the same for a session, so that its answers come from one side."""
        if asked.session:
            return (
                int.from_bytes(hashlib.sha256(asked.session.encode()).digest()[:4], "big")
                / 2**32
                * 100
            )
        return self._random.random() * 100

    def _expand(self, members: list[str | PoolMember], name: str, alias: str) -> list[Choice]:
        found = []
        for entry in members:
            member = self._solo[entry] if isinstance(entry, str) else entry
            for upstream in self._upstreams[member.upstream]:
                theirs = name if name != alias else member.model or _own_name(upstream, name)
                found.append(Choice(upstream, theirs, member.weight))
        return found

    def _meets(self, rule: RuleConfig, asked: Asked) -> bool:
        tokens = asked.body_bytes // CHARS_PER_TOKEN
        return (
            (rule.longer_than is None or tokens > rule.longer_than)
            and (rule.shorter_than is None or tokens < rule.shorter_than)
            and (rule.urgency is None or asked.urgency == rule.urgency)
            and (not rule.keys or asked.key_id in rule.keys or asked.key_name in rule.keys)
            and (rule.needs is None or rule.needs in asked.body.needs())
            and (rule.private is None or self._is_private(asked) == rule.private)
        )

    def _ordered(self, choices: list[Choice], balance: str, asked: Asked) -> list[Choice]:
        if len(choices) < 2:
            return choices
        least = sorted(
            choices,
            key=lambda c: (
                c.upstream.full(),
                c.upstream.outstanding / c.weight,
                self._random.random(),
            ),
        )
        if balance == "cost":
            return sorted(least, key=lambda c: (c.upstream.full(), _price(c.upstream)))
        anchor = (
            asked.session
            if balance == "sticky"
            else asked.endpoint.head(asked.body)
            if balance == "prefix"
            else ""
        )
        if not anchor:
            return least
        ranked = sorted(choices, key=lambda c: _weight(anchor, c.upstream), reverse=True)
        most = BOUND * (1 + sum(c.upstream.in_flight for c in choices)) / len(choices) + 1
        if balance == "sticky":
            most = float("inf")
        near = [c for c in ranked if c.upstream.in_flight < most and not c.upstream.full()]
        return near + [c for c in least if c not in near]


def _own_name(upstream: Upstream, name: str) -> str:
    """What an upstream calls a model that the file does not translate: the same, or the only one
    that it has.
    """
    if upstream.models is not None and name not in upstream.models and len(upstream.models) == 1:
        return next(iter(upstream.models))
    return name


def _weight(anchor: str, upstream: Upstream) -> bytes:
    """Rendezvous hashing: an upstream that comes or goes moves only its own share."""
    return hashlib.blake2b(
        f"{upstream.url}\0{anchor}".encode("utf-8", "surrogatepass"), digest_size=8
    ).digest()


def _price(upstream: Upstream) -> float:
    price = upstream.config.price
    return price.per_token()[1] if price is not None and not isinstance(price, str) else 0.0
