"""Requests and tokens a minute, and streams at once: of a key, an address, a model; and what
clients are told of it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Protocol

import msgspec

from llmops_cli.gateway_file.config import LimitsConfig, LimitSet
from llmops_cli.serve.accounts.keys import Key
from llmops_cli.serve.accounts.ledger import MINUTE_S, Charge, Kind, Ledger, Taken
from llmops_cli.serve.refusal import Refusal, retry_after

NO_LIMITS = LimitSet()
WHOSE = {"key": "the key", "ip": "your address", "model": "the model"}


class Counts(Protocol):
    """Where buckets are kept: the machine's ledger, or Redis."""

    async def take(self, charges: Sequence[Charge]) -> Taken: ...

    async def give_back(self, charges: Sequence[Charge], lease: str = "") -> None: ...


class LocalCounts:
    """The ledger, which takes microseconds and needs no waiting."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def take(self, charges: Sequence[Charge]) -> Taken:
        return self._ledger.take(charges)

    async def give_back(self, charges: Sequence[Charge], lease: str = "") -> None:
        self._ledger.give_back(charges)


class Claim(msgspec.Struct):
    """What a request has taken and must settle when it ends."""

    charges: list[Charge]
    estimated: int
    lease: str = ""


class Limits:
    """Tokens are taken from an estimate and settled when the real count is known."""

    def __init__(self, counts: Counts, config: LimitsConfig) -> None:
        self.counts = counts
        self._config = config

    def charges(self, key: Key, ip: str, model: str, tokens: int) -> list[Charge]:
        own = self._config.key
        theirs = self._config.models.get(model, NO_LIMITS)
        found = list[Charge]()
        requests = key.requests_per_minute or own.requests_per_minute
        _add(
            found,
            f"key:{key.id}",
            requests,
            key.tokens_per_minute or own.tokens_per_minute,
            key.streams or own.streams,
            tokens,
        )
        if self._config.ip is not NO_LIMITS:
            limit = self._config.ip
            _add(
                found,
                f"ip:{_network(ip)}",
                limit.requests_per_minute,
                limit.tokens_per_minute,
                limit.streams,
                tokens,
            )
        if theirs is not NO_LIMITS:
            _add(
                found,
                f"model:{model}",
                theirs.requests_per_minute,
                theirs.tokens_per_minute,
                theirs.streams,
                tokens,
            )
        return found

    async def take(
        self, key: Key, ip: str, model: str, tokens: int
    ) -> tuple[Claim, list[tuple[bytes, bytes]]]:
        """(the claim, headers that tell where the key stands). Raises: Refusal (429)."""
        charges = self.charges(key, ip, model, tokens)
        if not charges:
            return Claim([], tokens), []
        taken = await self.counts.take(charges)
        headers = _headers(charges, taken)
        if taken.refused is not None:
            raise _refusal(taken, charges, headers)
        return Claim(charges, tokens, taken.lease), headers

    async def settle(self, claim: Claim, used: int, *, failed: bool = False) -> None:
        """`failed`: nobody answered, so that it was no request."""
        back = []
        for charge in claim.charges:
            if charge.kind == "streams" or (failed and charge.kind == "requests"):
                back.append(charge)
            elif charge.kind == "tokens" and used != claim.estimated:
                back.append(charge._replace(amount=float(claim.estimated - used)))
        if back:
            await self.counts.give_back(back, claim.lease)


def _add(
    found: list[Charge],
    subject: str,
    requests: int | None,
    tokens: int | None,
    streams: int | None,
    amount: int,
) -> None:
    if requests:
        found.append(Charge(subject, "requests", requests, 1.0))
    if tokens:
        found.append(Charge(subject, "tokens", tokens, float(amount)))
    if streams:
        found.append(Charge(subject, "streams", streams, 1.0))


def _network(ip: str) -> str:
    """One client has a whole /64 of IPv6."""
    if ":" not in ip:
        return ip
    try:
        return str(ipaddress.IPv6Network(f"{ip.partition('%')[0]}/64", strict=False))
    except ValueError:
        return ip


def _refusal(taken: Taken, charges: list[Charge], headers: list[tuple[bytes, bytes]]) -> Refusal:
    assert taken.refused is not None
    charge = taken.refused
    wait_s = max(s.wait_s for s in taken.standings)
    named = {
        "requests": "requests a minute",
        "tokens": "tokens a minute",
        "streams": "requests at once",
    }[charge.kind]
    owner = WHOSE[charge.subject.partition(":")[0]]
    said = f"{owner} has reached its limit of {charge.most} {named}"
    return Refusal(429, said, code="rate_limit_exceeded", headers=[*headers, *retry_after(wait_s)])


_LABELS: dict[Kind, tuple[bytes, bytes, bytes]] = {
    kind: (
        f"x-ratelimit-limit-{kind}".encode(),
        f"x-ratelimit-remaining-{kind}".encode(),
        f"x-ratelimit-reset-{kind}".encode(),
    )
    for kind in ("requests", "tokens")
}


def _headers(charges: list[Charge], taken: Taken) -> list[tuple[bytes, bytes]]:
    """Of the key's own buckets, or of the one that was empty, in the form that OpenAI's clients
    know.
    """
    found = []
    for charge, standing in zip(charges, taken.standings, strict=True):
        shown = (
            charge is taken.refused
            if taken.refused is not None
            else charge.subject.startswith("key:")
        )
        if charge.kind == "streams" or not shown:
            continue
        limit, remaining, reset = _LABELS[charge.kind]
        wait_s = max(0.0, (charge.most - standing.left) * MINUTE_S / charge.most)
        found += [
            (limit, b"%d" % charge.most),
            (remaining, b"%d" % max(0, int(standing.left))),
            (reset, b"%.1fs" % wait_s),
        ]
    return found
