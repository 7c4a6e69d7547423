"""Looks up who the members of an upstream are, and tells them, for as long as it is served."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import random
from collections.abc import Callable, Sequence
from enum import StrEnum
from urllib.parse import urlsplit

from llmops_cli.gateway_file.discovery import DiscoverConfig, is_refused, networks_of
from llmops_cli.serve.upstreams.discovery.found import (
    Found,
    LookupFailed,
    MemberAddress,
    MemberSource,
)
from llmops_cli.serve.upstreams.discovery.names import NameSource
from llmops_cli.serve.upstreams.discovery.target_file import TargetFile

LOG = logging.getLogger("llmops.gateway")
EMPTY_IN_ROW = 2
"""Answers that a name has nobody, before it is believed: a name server that starts says so, too."""


class LookupResult(StrEnum):
    """`REFUSED`: all that it named may not be members."""

    FINE = "fine"
    EMPTY = "empty"
    FAILED = "failed"
    REFUSED = "refused"


Told = Callable[[list[MemberAddress]], None]
Counted = Callable[[LookupResult], None]


class Discovery:
    """`members`: the last that were told, best known first."""

    def __init__(
        self,
        name: str,
        config: DiscoverConfig,
        *,
        members: Sequence[MemberAddress] = (),
        source: MemberSource | None = None,
    ) -> None:
        self.name = name
        self.members = list(members)
        self.is_fine = True
        self.has_looked = asyncio.Event()
        self._config = config
        self._networks = networks_of(config)
        self._source = source or _source_of(config)
        self._empty = 0
        self._failed = 0
        self._said = ""

    async def follow(self, told: Told, counted: Counted) -> None:
        """Until it is cancelled."""
        while True:
            pause_s = await self.look(told, counted)
            await asyncio.sleep(pause_s * random.uniform(0.9, 1.0))

    async def look(self, told: Told, counted: Counted) -> float:
        """Seconds until the next look."""
        try:
            found = await self._source.find()
        except LookupFailed as error:
            return self._note_failure(str(error), LookupResult.FAILED, counted)
        except Exception:  # the boundary of a task that must not end
            LOG.exception("upstream %s: its members cannot be looked up", self.name)
            return self._note_failure("", LookupResult.FAILED, counted)
        if found is None:
            return self._source.retry_s
        accepted = self._accepted(found.members)
        if found.members and not accepted:
            said = f"none of {len(found.members)} addresses may be a member"
            return self._note_failure(said, LookupResult.REFUSED, counted)
        self._failed = 0
        self._said = ""
        self.is_fine = True
        counted(LookupResult.FINE if accepted else LookupResult.EMPTY)
        self._empty = 0 if accepted else self._empty + 1
        if accepted or found.is_sure or self._empty >= EMPTY_IN_ROW or not self.members:
            self._tell(accepted, found, told)
        return found.holds_s if accepted else min(found.holds_s, self._source.retry_s)

    def _tell(self, accepted: list[MemberAddress], found: Found, told: Told) -> None:
        kept = [each for each in self.members if _family(each) in found.missing]
        known = {each.url for each in accepted}
        accepted += [each for each in kept if each.url not in known]
        self.members = self._bounded(accepted)
        told(self.members)
        self.has_looked.set()

    def _note_failure(self, said: str, result: LookupResult, counted: Counted) -> float:
        """Nobody leaves for it. The same failure is told once."""
        counted(result)
        self.is_fine = False
        self.has_looked.set()
        self._failed += 1
        if said and said != self._said:
            self._said = said
            LOG.error("upstream %s keeps its members (%d): %s", self.name, len(self.members), said)
        pause_s = self._source.retry_s * 2.0 ** min(self._failed - 1, 10)
        return min(pause_s, self._source.retry_most_s)

    def _accepted(self, members: Sequence[MemberAddress]) -> list[MemberAddress]:
        """Each once, and none where no member may be."""
        found = {each.url: each for each in members if not self._is_refused(each)}
        return list(found.values())

    def _is_refused(self, member: MemberAddress) -> bool:
        host = urlsplit(member.url).hostname or ""
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return bool(self._networks)  # a name, whose address nobody has looked at
        is_operators = self._config.file is not None
        return is_refused(address, self._networks, loopback=is_operators)

    def _bounded(self, members: list[MemberAddress]) -> list[MemberAddress]:
        """Those that are known already, then the first by address."""
        most = self._config.most
        known = {each.url for each in self.members}
        ranked = sorted(members, key=lambda each: (each.url not in known, each.url))
        if len(ranked) > most:
            LOG.error(
                "upstream %s: %d members, of which %d are asked", self.name, len(ranked), most
            )
        return ranked[:most]


def _family(member: MemberAddress) -> int:
    """4 or 6; 0 of a name."""
    host = urlsplit(member.url).hostname or ""
    try:
        return ipaddress.ip_address(host).version
    except ValueError:
        return 0


def _source_of(config: DiscoverConfig) -> MemberSource:
    if config.file is not None:
        return TargetFile(config)
    return NameSource(config)
