"""Members by their names in DNS: addresses of a headless Service, or its SRV records.

The machine's hosts file is not read, and no answer is kept longer than its TTL.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, NamedTuple

from llmops_cli.gateway_file.discovery import DNS_PORT, DiscoverConfig, host_port
from llmops_cli.serve.upstreams.discovery.found import Found, LookupFailed, MemberAddress
from llmops_cli.serve.upstreams.discovery.thread import in_thread

WITHIN_S = 5.0
"""All tries of one question."""
TRY_S = 2.0
AT_ONCE = 16
"""Targets of SRV records that are looked up at the same time."""
FAMILIES = {"A": 4, "AAAA": 6}
WEIGHTS = (0.1, 10.0)
"""Of a member, against the mean of all: no record can starve the others."""


class Records(NamedTuple):
    """Addresses of one name. `missing`: families that nobody told of."""

    addresses: tuple[str, ...]
    ttl_s: float
    missing: frozenset[int] = frozenset()


class Target(NamedTuple):
    """Of an SRV record."""

    host: str
    port: int
    weight: float


class NameSource:
    retry_s = 1.0

    def __init__(self, config: DiscoverConfig) -> None:
        self._config = config
        self.retry_most_s = config.ttl_most_s
        self._resolver: Any = None  # Any: dnspython's, which is imported late

    async def find(self) -> Found:
        """Raises: LookupFailed."""
        if self._config.srv is not None:
            return await self._by_service(self._config.srv)
        assert self._config.dns is not None
        name, port = host_port(self._config.dns)
        return self._found(await self._records(name), Target(name, port, 1.0))

    def _found(self, records: Records, target: Target) -> Found:
        members = [self._member(address, target) for address in records.addresses]
        return Found(tuple(members), self._bounded(records.ttl_s), missing=records.missing)

    def _member(self, address: str, target: Target) -> MemberAddress:
        config = self._config
        host = f"[{address}]" if ":" in address else address
        url = f"{config.scheme}://{host}:{target.port}{config.path}"
        return MemberAddress(url, target.host, target.weight)

    def _bounded(self, ttl_s: float) -> float:
        return min(self._config.ttl_most_s, max(self._config.ttl_least_s, ttl_s))

    async def _by_service(self, service: str) -> Found:
        """Members of the first priority, each target with its addresses."""
        answer = await self._ask(service, "SRV")
        if answer is None:
            return Found((), self._config.ttl_least_s)
        records = sorted(answer.rrset, key=lambda each: (each.priority, str(each.target)))
        first = [each for each in records if each.priority == records[0].priority]
        targets = _targets(first[: self._config.most])
        busy = asyncio.Semaphore(AT_ONCE)

        async def looked_up(target: Target) -> Found:
            async with busy:
                return self._found(await self._records(target.host), target)

        parts = await asyncio.gather(*map(looked_up, targets))
        return Found(
            tuple(member for part in parts for member in part.members),
            min([self._bounded(_ttl_s(answer)), *(part.holds_s for part in parts)]),
            missing=frozenset().union(*(part.missing for part in parts)),
        )

    async def _records(self, name: str) -> Records:
        """Of both families. Raises: LookupFailed where neither was told of."""
        answers = await asyncio.gather(
            *(self._ask(name, kind) for kind in FAMILIES), return_exceptions=True
        )
        addresses = list[str]()
        ttls_s = list[float]()
        missing = set[int]()
        for family, answer in zip(FAMILIES.values(), answers, strict=True):
            if isinstance(answer, LookupFailed):
                missing.add(family)
            elif isinstance(answer, BaseException):
                raise answer
            elif answer is not None:
                addresses += [each.address for each in answer.rrset]
                ttls_s.append(_ttl_s(answer))
        if not addresses and missing:
            failed = next(each for each in answers if isinstance(each, LookupFailed))
            raise failed
        ttl_s = min(ttls_s, default=self._config.ttl_least_s)
        return Records(tuple(addresses), ttl_s, frozenset(missing))

    async def _ask(self, name: str, kind: str) -> Any:  # Any: dnspython's answer
        """None: there is no such name, or none of that kind. Raises: LookupFailed."""
        import dns.exception
        import dns.resolver

        resolver = self._asked()
        try:
            # In a thread: thousands of records take dnspython a tenth of a second.
            answer = await in_thread(
                partial(resolver.resolve, name, kind, raise_on_no_answer=False, search=True)
            )
        except dns.resolver.NXDOMAIN:
            return None
        except (dns.exception.DNSException, OSError, UnicodeError) as error:
            raise LookupFailed(f"{name}: {type(error).__name__}") from None
        return None if answer.rrset is None else answer

    def _asked(self) -> Any:  # Any: dnspython's resolver
        """Raises: LookupFailed on a machine that names no server."""
        if self._resolver is not None:
            return self._resolver
        import dns.resolver

        named = self._config.resolver
        try:
            resolver = dns.resolver.Resolver(configure=named is None)
        except (dns.resolver.NoResolverConfiguration, OSError) as error:
            raise LookupFailed(f"no name server: {type(error).__name__}") from None
        if named is not None:
            address, port = host_port(named, port=DNS_PORT)
            resolver.nameservers = [address]
            resolver.port = port
        resolver.lifetime = WITHIN_S
        resolver.timeout = TRY_S
        self._resolver = resolver
        return resolver


def _ttl_s(answer: Any) -> float:  # Any: dnspython's answer
    """The least of the chain of names that led there."""
    return float(answer.chaining_result.minimum_ttl)


def _targets(records: list[Any]) -> list[Target]:  # Any: dnspython's SRV records
    """Weights against their mean; what has none counts as the lightest."""
    weights = [max(1, each.weight) for each in records]
    mean = sum(weights) / len(weights)
    least, most = WEIGHTS
    found = []
    for record, weight in zip(records, weights, strict=True):
        name = record.target.to_text(omit_final_dot=True)
        share = min(most, max(least, weight / mean))
        found.append(Target(name, record.port, share))
    return found
