"""Who answers for one upstream of the file: one address, replicas, or whoever was discovered."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from typing import Protocol

from llmops_cli.core.errors import LlmopsError
from llmops_cli.gateway_file.upstream import UpstreamConfig
from llmops_cli.serve.upstreams.discovery.discovery import Discovery, LookupResult
from llmops_cli.serve.upstreams.discovery.found import MemberAddress
from llmops_cli.serve.upstreams.upstream import Upstream

LOG = logging.getLogger("llmops.gateway")
DRAINED_LOOK_S = 0.5
NOBODY = "http://nobody.invalid"


class Watcher(Protocol):
    """Who is told of them: the snapshot that is served."""

    def went_down(self, upstream: Upstream) -> None: ...

    def came_up(self, upstream: Upstream) -> None: ...

    def looked_up(self, upstream: str, result: LookupResult) -> None: ...


class Members:
    """They come and go while requests are under way, and each has its own breaker and load.

    `generation` changes with them. `leaving` end what they have begun.
    """

    def __init__(
        self,
        name: str,
        config: UpstreamConfig,
        urls: Sequence[str],
        *,
        discovered: Sequence[MemberAddress] = (),
    ) -> None:
        """`urls`: of an upstream whose members stay. `discovered`: as they were when last known.

        Raises: UsageError for a variable without a value.
        """
        self.name = name
        self.config = config
        self.generation = 0
        self.leaving: list[Upstream] = []
        self.discovery: Discovery | None = None
        self._watcher: Watcher | None = None
        self._following: asyncio.Task[None] | None = None
        self._draining: set[asyncio.Task[None]] = set()
        self._nobody: Upstream | None = None
        if config.discover is None:
            self.current = self._fixed(urls)
            return
        self.discovery = Discovery(name, config.discover, members=discovered)
        self._nobody = Upstream(name, config, NOBODY)
        self._nobody.down = True
        self.current = [self._nobody]
        self.settle(discovered)

    def _fixed(self, urls: Sequence[str]) -> list[Upstream]:
        if len(urls) == 1:
            return [Upstream(self.name, self.config, urls[0])]
        return [Upstream(self.name, self.config, url, member=url) for url in urls]

    def __iter__(self) -> Iterator[Upstream]:
        """Never nobody: where no member is known, one that cannot be asked stands for them."""
        return iter(self.current)

    def __len__(self) -> int:
        return len(self.current)

    @property
    def addresses(self) -> list[MemberAddress]:
        return [] if self.discovery is None else self.discovery.members

    def known(self) -> list[Upstream]:
        """Those that can be asked, and those that still answer."""
        return [each for each in (*self.current, *self.leaving) if each is not self._nobody]

    # Coming and going.

    def _told(self, addresses: Sequence[MemberAddress]) -> None:
        before = {each.url for each in self.current if each is not self._nobody}
        self.settle(addresses)
        now = {each.url for each in self.current if each is not self._nobody}
        joined = len(now - before)
        left = len(before - now)
        if joined or left:
            LOG.warning(
                "upstream %s: members now: %d, joined: %d, left: %d",
                self.name,
                len(now),
                joined,
                left,
            )

    def settle(self, addresses: Sequence[MemberAddress]) -> None:
        here = {each.url: each for each in self.current if each is not self._nobody}
        found = [self._member(each, here) for each in addresses]
        members = [each for each in found if each is not None]
        gone = [each for each in here.values() if each not in members]
        if not members and self._nobody is not None:
            members = [self._nobody]
        if members == self.current:
            return
        self.current = members
        self.generation += 1
        self._introduce(members, here)
        for upstream in gone:
            self._dismiss(upstream)

    def _member(self, address: MemberAddress, here: dict[str, Upstream]) -> Upstream | None:
        """The one that is known, if it left a moment ago too."""
        found = here.get(address.url) or self._returning(address.url)
        if found is None:
            found = self._made(address)
        if found is not None:
            found.weight = address.weight
        return found

    def _returning(self, url: str) -> Upstream | None:
        for upstream in self.leaving:
            if upstream.url == url:
                self.leaving.remove(upstream)
                upstream.has_left = False
                return upstream
        return None

    def _made(self, address: MemberAddress) -> Upstream | None:
        try:
            return Upstream(
                self.name,
                self.config,
                address.url,
                member=address.url,
                called=address.host,
            )
        except LlmopsError as error:  # its key's file is gone, say
            LOG.error("upstream %s: %s cannot be asked: %s", self.name, address.url, error.message)
            return None

    def _introduce(self, members: list[Upstream], here: dict[str, Upstream]) -> None:
        """Who comes is asked once it has answered a check, where others can be asked meanwhile."""
        can_wait = any(each.usable() for each in members if each.url in here)
        for upstream in members:
            if upstream.url in here or upstream is self._nobody:
                continue
            upstream.down = can_wait and not upstream.has_spoken
            if self._watcher is not None:
                self._watch(upstream)
                if not upstream.down:
                    self._watcher.came_up(upstream)

    def _dismiss(self, upstream: Upstream) -> None:
        upstream.has_left = True
        upstream.stop_watching()
        self.leaving.append(upstream)
        if self._watcher is None:
            return
        task = asyncio.get_running_loop().create_task(self._drained(upstream))
        self._draining.add(task)
        task.add_done_callback(self._draining.discard)

    async def _drained(self, upstream: Upstream) -> None:
        """Closed with the end of the last of its streams, if it has not come back."""
        while upstream.in_flight and upstream.has_left:  # noqa: ASYNC110  nobody hurries here
            await asyncio.sleep(DRAINED_LOOK_S)
        if upstream.has_left and upstream in self.leaving:
            self.leaving.remove(upstream)
            await upstream.close()

    # Their checks.

    def watch(self, watcher: Watcher) -> None:
        """Begins the checks of those that are new, and the lookups."""
        self._watcher = watcher
        for upstream in self.current:
            if upstream is not self._nobody:
                self._watch(upstream)
        if self.discovery is not None and self._following is None:
            following = self.discovery.follow(self._told, self._counted)
            self._following = asyncio.get_running_loop().create_task(following)

    def _watch(self, upstream: Upstream) -> None:
        if not upstream.watched:
            upstream.watch(self._went_down, self._came_up)

    def _went_down(self, upstream: Upstream) -> None:
        if self._watcher is not None:
            self._watcher.went_down(upstream)

    def _came_up(self, upstream: Upstream) -> None:
        if self._watcher is not None:
            self._watcher.came_up(upstream)

    def _counted(self, result: LookupResult) -> None:
        if self._watcher is not None:
            self._watcher.looked_up(self.name, result)

    async def looked(self) -> None:
        """Until each was looked at once."""
        if self.discovery is not None:
            await self.discovery.has_looked.wait()
        for upstream in list(self.current):
            if upstream is not self._nobody and not upstream.has_left:
                await upstream.checked.wait()

    @property
    def was_looked(self) -> bool:
        if self.discovery is not None and not self.discovery.has_looked.is_set():
            return False
        return all(each.checked.is_set() for each in self.current if each is not self._nobody)

    # The end.

    async def retire(self) -> None:
        """Looks nobody up any more, and closes each once its requests have ended."""
        self._stop()
        everyone = self.known()
        for upstream in everyone:
            upstream.stop_watching()
        while any(each.in_flight for each in everyone):  # noqa: ASYNC110  nobody hurries here
            await asyncio.sleep(DRAINED_LOOK_S)
        await self.close()

    async def close(self) -> None:
        self._stop()
        for task in list(self._draining):
            task.cancel()
        tasks = [*self._draining, *([self._following] if self._following else [])]
        await asyncio.gather(*tasks, return_exceptions=True)
        for upstream in self.known():
            await upstream.close()

    def _stop(self) -> None:
        if self._following is not None:
            self._following.cancel()


def members_of(
    name: str,
    config: UpstreamConfig,
    urls: Sequence[str],
    before: Members | None,
) -> Members:
    """Those of before where nothing has changed, with their connections.

    Where something else has changed than how they are looked up, who they are is known already.
    """
    if before is not None and before.config == config:
        return before
    if config.discover is None:
        return Members(name, config, [config.url] if config.url else urls)
    known: Sequence[MemberAddress] = ()
    if before is not None and before.config.discover == config.discover:
        known = before.addresses
    return Members(name, config, (), discovered=known)
