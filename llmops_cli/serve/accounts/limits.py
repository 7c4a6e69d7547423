"""Requests and tokens a minute, and streams at once: of a key, an address and a model."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

import msgspec

from llmops_cli.gateway_file.config import LimitsConfig, LimitSet
from llmops_cli.serve.accounts.charge import Charge, LimitDecision, Limiter
from llmops_cli.serve.accounts.keys import Key
from llmops_cli.serve.accounts.rate_headers import rate_headers
from llmops_cli.serve.refusal import Headers, Refusal, retry_after

NO_LIMITS = LimitSet()
OWNERS = {"key": "the key", "ip": "your address", "model": "the model"}
UNITS = {
    "requests": "requests a minute",
    "tokens": "tokens a minute",
    "streams": "requests at once",
}


class Claim(msgspec.Struct):
    """What a request has taken and must settle when it ends."""

    charges: list[Charge]
    estimated: int
    lease: str = ""


class Limits:
    """Tokens are taken from an estimate and settled when the real count is known."""

    def __init__(self, limiter: Limiter, config: LimitsConfig) -> None:
        self._limiter = limiter
        self._config = config

    async def take(
        self,
        key: Key,
        ip: str,
        model: str,
        tokens: int,
    ) -> tuple[Claim, Headers]:
        """The claim, and headers that tell where the key stands. Raises: Refusal (429)."""
        charges = self._charges(key, ip, model, tokens)
        if not charges:
            return Claim([], tokens), []
        decision = await self._limiter.take(charges)
        headers = rate_headers(charges, decision)
        if decision.refused is not None:
            raise _refusal(decision.refused, decision, headers)
        return Claim(charges, tokens, decision.lease), headers

    def counts_tokens(
        self,
        key: Key,
        model: str,
    ) -> bool:
        """Whether a request's tokens are limited, or spent of a budget."""
        if key.budget_dollars is not None or key.budget_tokens is not None:
            return True
        config = self._config
        sets = (_limits_of(key, config.key), config.ip, config.models.get(model, NO_LIMITS))
        return config.answer_tokens is not None or any(each.tokens_per_minute for each in sets)

    def _charges(
        self,
        key: Key,
        ip: str,
        model: str,
        tokens: int,
    ) -> list[Charge]:
        config = self._config
        charges = list(_charges(f"key:{key.id}", _limits_of(key, config.key), tokens))
        if config.ip != NO_LIMITS:
            charges += _charges(f"ip:{network_of(ip)}", config.ip, tokens)
        if model in config.models:
            charges += _charges(f"model:{model}", config.models[model], tokens)
        return charges

    async def settle(
        self,
        claim: Claim,
        used: int,
        *,
        failed: bool = False,
    ) -> None:
        """`failed`: nobody answered, so that it was no request."""
        back = []
        for charge in claim.charges:
            if charge.kind == "streams" or (failed and charge.kind == "requests"):
                back.append(charge)
            elif charge.kind == "tokens" and used != claim.estimated:
                unused = float(claim.estimated - used)
                back.append(charge._replace(amount=unused))
        if back:
            await self._limiter.give_back(back, claim.lease)


def _limits_of(key: Key, default: LimitSet) -> LimitSet:
    """The key's own, and the file's where it has none."""
    return LimitSet(
        requests_per_minute=key.requests_per_minute or default.requests_per_minute,
        tokens_per_minute=key.tokens_per_minute or default.tokens_per_minute,
        streams=key.streams or default.streams,
    )


def _charges(
    subject: str,
    limits: LimitSet,
    tokens: int,
) -> Iterator[Charge]:
    if limits.requests_per_minute:
        yield Charge(subject, "requests", limits.requests_per_minute, 1.0)
    if limits.tokens_per_minute:
        yield Charge(subject, "tokens", limits.tokens_per_minute, float(tokens))
    if limits.streams:
        yield Charge(subject, "streams", limits.streams, 1.0)


def network_of(ip: str) -> str:
    """One client has a whole /64 of IPv6."""
    if ":" not in ip:
        return ip
    address = ip.partition("%")[0]
    try:
        return str(ipaddress.IPv6Network(f"{address}/64", strict=False))
    except ValueError:
        return ip


def _refusal(
    charge: Charge,
    decision: LimitDecision,
    headers: Headers,
) -> Refusal:
    owner = OWNERS[charge.subject.partition(":")[0]]
    wait_s = max(bucket.wait_s for bucket in decision.buckets)
    return Refusal(
        429,
        f"{owner} has reached its limit of {charge.most} {UNITS[charge.kind]}",
        code="rate_limit_exceeded",
        headers=[*headers, *retry_after(wait_s)],
    )
