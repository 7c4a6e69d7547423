"""Requests and tokens a minute, and streams at once: of a key, an address and a model."""

from __future__ import annotations

import ipaddress

import msgspec

from llmops_cli.gateway_file.config import LimitsConfig, LimitSet
from llmops_cli.serve.accounts.charge import Charge, LimitDecision, Limiter
from llmops_cli.serve.accounts.keys import Key
from llmops_cli.serve.accounts.rate_headers import rate_headers
from llmops_cli.serve.refusal import Headers, Refusal, retry_after

NO_LIMITS = LimitSet()
KEYS_MOST = 20_000
"""Whose limits are remembered."""
TOKENS = "tokens"
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


class KeyLimits(msgspec.Struct, frozen=True):
    """What the file and a key say together.

    `counts_tokens`: they are limited, or spent of a budget, whatever the model.
    """

    key: Key
    subject: str
    limits: LimitSet
    counts_tokens: bool


class Limits:
    """Tokens are taken from an estimate and settled when the real count is known."""

    def __init__(self, limiter: Limiter, config: LimitsConfig) -> None:
        self._limiter = limiter
        self._config = config
        self._has_ip_limits = config.ip != NO_LIMITS
        self._of_keys: dict[str, KeyLimits] = {}

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

    async def take_tokens(
        self,
        claim: Claim,
        key: Key,
        ip: str,
        model: str,
        tokens: int,
    ) -> Headers:
        """Those of a request that was claimed before they were known. Raises: Refusal (429)."""
        charges = [each for each in self._charges(key, ip, model, tokens) if each.kind == TOKENS]
        if not charges:
            return []
        decision = await self._limiter.take(charges)
        headers = rate_headers(charges, decision)
        if decision.refused is not None:
            raise _refusal(decision.refused, decision, headers)
        others = [each for each in claim.charges if each.kind != TOKENS]
        claim.charges = [*others, *charges]
        claim.estimated = tokens
        return headers

    def counts_tokens(
        self,
        key: Key,
        model: str,
    ) -> bool:
        """Whether a request's tokens are limited, or spent of a budget."""
        if self._of_key(key).counts_tokens:
            return True
        of_model = self._config.models.get(model, NO_LIMITS)
        return bool(of_model.tokens_per_minute)

    def _of_key(self, key: Key) -> KeyLimits:
        """Put together once for each version of a key."""
        found = self._of_keys.get(key.id)
        if found is None or found.key is not key:
            if len(self._of_keys) >= KEYS_MOST:
                self._of_keys.clear()
            found = _key_limits(key, self._config)
            self._of_keys[key.id] = found
        return found

    def _charges(
        self,
        key: Key,
        ip: str,
        model: str,
        tokens: int,
    ) -> list[Charge]:
        config = self._config
        of_key = self._of_key(key)
        charges = _charges(of_key.subject, of_key.limits, tokens)
        if self._has_ip_limits:
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
                back.append(Charge(charge.subject, charge.kind, charge.most, unused))
        if back:
            await self._limiter.give_back(back, claim.lease)


def _limits_of(key: Key, default: LimitSet) -> LimitSet:
    """The key's own, and the file's where it has none."""
    return LimitSet(
        requests_per_minute=key.requests_per_minute or default.requests_per_minute,
        tokens_per_minute=key.tokens_per_minute or default.tokens_per_minute,
        streams=key.streams or default.streams,
    )


def _key_limits(key: Key, config: LimitsConfig) -> KeyLimits:
    limits = _limits_of(key, config.key)
    has_budget = key.budget_dollars is not None or key.budget_tokens is not None
    is_bound = has_budget or config.answer_tokens is not None
    has_rate = limits.tokens_per_minute or config.ip.tokens_per_minute
    return KeyLimits(key, f"key:{key.id}", limits, is_bound or bool(has_rate))


def _charges(
    subject: str,
    limits: LimitSet,
    tokens: int,
) -> list[Charge]:
    charges = []
    if limits.requests_per_minute:
        charges.append(Charge(subject, "requests", limits.requests_per_minute, 1.0))
    if limits.tokens_per_minute:
        charges.append(Charge(subject, "tokens", limits.tokens_per_minute, float(tokens)))
    if limits.streams:
        charges.append(Charge(subject, "streams", limits.streams, 1.0))
    return charges


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
