"""A worker follows the configuration's file: one of all reads it, the others take what it made."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec

from llmops_cli.core.errors import EngineFailed, LlmopsError
from llmops_cli.gateway_file.read import load_config
from llmops_cli.serve.accounts.keys import KeyStore
from llmops_cli.serve.policy import read_policy
from llmops_cli.serve.prompts.library import read_prompts
from llmops_cli.serve.reload import await_live_sides, fixed_parts
from llmops_cli.serve.rollout.history import (
    GATEWAY,
    Action,
    Deployment,
    KeptConfig,
    begin,
    digest_of,
    keep_config,
    record,
    within,
)
from llmops_cli.serve.snapshot import Snapshot
from llmops_cli.serve.spec import GatewaySpec, check_bind
from llmops_cli.serve.versions import ConfigVersion, ConfigVersions, FileStamp, stamp_of
from llmops_cli.serve.watch.metrics import Metrics

LOG = logging.getLogger("llmops.gateway")
SETTLED_S = 0.25
"""So long nobody has written to the file."""


class Serving(Protocol):
    """What has a snapshot, and takes another."""

    @property
    def snapshot(self) -> Snapshot: ...

    def new_snapshot(self, version: ConfigVersion, before: Snapshot | None) -> Snapshot:
        """Raises: LlmopsError."""
        ...

    def replace_snapshot(self, snapshot: Snapshot) -> None: ...

    def discard_snapshot(self, snapshot: Snapshot) -> None:
        """One that nobody was served by."""
        ...


class FileFollower:
    """`look` comes about once a second, and on a signal."""

    def __init__(
        self,
        spec: GatewaySpec,
        versions: ConfigVersions,
        keys: KeyStore,
        metrics: Metrics,
        *,
        database: sqlite3.Connection,
    ) -> None:
        self._spec = spec
        self._file = Path(spec.file) if spec.file else None
        self._versions = versions
        self._keys = keys
        self._metrics = metrics
        self._looking = asyncio.Lock()
        self._refused_at = 0.0
        self._db = database
        self.serves = versions.current()
        self.digest = digest_of(self.serves.config, self.serves.policy)
        self._show(self.serves)
        self._note_start()

    def want(self) -> None:
        """The file is to be read, whether it has changed or not."""
        self._versions.want()

    def is_file_fine(self) -> bool:
        """As it was when somebody last looked."""
        return self._versions.current().ok

    async def look(self, serving: Serving) -> None:
        async with self._looking:
            await self._look(serving)

    async def _look(self, serving: Serving) -> None:
        self._adopt(serving)
        if self._file is None or not await self._rests(self._file):
            return
        with self._versions.reading() as is_mine:
            if not is_mine:
                return  # what comes of it is seen at the next look
            version = self._versions.current()
            if self._is_due(version):
                await self._read(self._file, version, serving)

    async def _rests(self, file: Path) -> bool:
        """Whether it is to be read, and nobody is writing it: half of it may lack its guard."""
        if not self._is_due(self._versions.current()):
            return False
        seen = stamp_of(file)
        await asyncio.sleep(SETTLED_S)
        return self._is_wanted(self._versions.current()) or stamp_of(file) == seen

    def _is_due(self, version: ConfigVersion) -> bool:
        assert self._file is not None
        return stamp_of(self._file) != version.seen or self._is_wanted(version)

    def _is_wanted(self, version: ConfigVersion) -> bool:
        return self._versions.wanted_at() > version.looked_at

    def _adopt(self, serving: Serving) -> None:
        """What another worker has read, and found good."""
        version = self._versions.current()
        if version.read_at in (self.serves.read_at, self._refused_at):
            self._metrics.config_ok.set(version.ok and version.read_at != self._refused_at)
            return
        try:
            snapshot = serving.new_snapshot(version, serving.snapshot)
        except LlmopsError as error:
            self._refused_at = version.read_at
            self._metrics.config_ok.set(0)
            LOG.error("this worker cannot serve what the others do: %s", error.message)
            return
        self._serve(version, snapshot, serving)

    async def _read(
        self,
        file: Path,
        before: ConfigVersion,
        serving: Serving,
    ) -> None:
        """A file that cannot be used changes nothing."""
        seen = stamp_of(file)
        begun = time.monotonic()
        try:
            version = await asyncio.to_thread(_version_of, file, seen, begun)
            check_bind(
                self._spec.host,
                has_key=self._keys.has_live(),
                keys_required=version.config.keys_required,
            )
            snapshot = serving.new_snapshot(version, serving.snapshot)
            await self._await_sides(snapshot, serving)
        except LlmopsError as error:
            LOG.error("the configuration stays as it was: %s", error.message)
            self._refuse(before, seen, begun)
            return
        except Exception:  # the boundary: whatever it is, what is served goes on
            LOG.exception("the configuration stays as it was")
            self._refuse(before, seen, begun)
            return
        self._note_file(version)
        self._versions.write(version)
        self._serve(version, snapshot, serving)
        fixed = fixed_parts(self._spec.config, version.config)
        left = f"; {fixed} change with the next start" if fixed else ""
        LOG.warning("the configuration was read anew%s", left)

    async def restore(
        self,
        kept: KeptConfig,
        serving: Serving,
        done: Deployment,
        check: Callable[[sqlite3.Connection], None],
    ) -> None:
        """Serves what was served before, until the file changes or is asked for.

        `check` may refuse it, in the transaction that writes `done` down.
        Raises: LlmopsError; what `check` raises; sqlite3.Error.
        """
        async with self._looking:
            with self._versions.reading() as is_mine:
                if not is_mine:
                    raise EngineFailed("the file is being read just now; ask again")
                before = self._versions.current()
                config = msgspec.structs.replace(kept.config, redis=before.config.redis)
                version = msgspec.structs.replace(
                    before,
                    config=config,
                    policy=kept.policy,
                    read_at=time.time(),
                    ok=True,
                )
                check_bind(
                    self._spec.host,
                    has_key=self._keys.has_live(),
                    keys_required=config.keys_required,
                )
                snapshot = serving.new_snapshot(version, serving.snapshot)
                await self._await_sides(snapshot, serving)
                try:
                    with within(self._db):
                        check(self._db)
                        record(self._db, done)
                except BaseException:
                    serving.discard_snapshot(snapshot)
                    raise
                self._versions.write(version)
                self._serve(version, snapshot, serving)
        LOG.warning("the configuration is again %s", kept.digest)

    def _note_start(self) -> None:
        """Once, by whichever worker comes first."""
        version = self.serves
        try:
            with within(self._db):
                keep_config(self._db, version.config, version.policy)
                begin(self._db, self._deployed(Action.START, version.read_at, self.digest))
        except sqlite3.Error as error:
            LOG.warning("the start is not in the history: %s", error)

    def _note_file(self, version: ConfigVersion) -> None:
        """A full disk keeps no file from being served."""
        digest = digest_of(version.config, version.policy)
        if digest == self.digest:
            return
        try:
            with within(self._db):
                keep_config(self._db, version.config, version.policy)
                record(self._db, self._deployed(Action.CONFIG, version.read_at, digest))
        except sqlite3.Error as error:
            LOG.warning("this configuration is not in the history: %s", error)

    def _deployed(
        self,
        action: Action,
        at: float,
        digest: str,
    ) -> Deployment:
        name = self._file.name if self._file else "flags"
        return Deployment(
            at=at,
            who=GATEWAY,
            action=action,
            digest=digest,
            reason=f"as {name} says",
        )

    async def _await_sides(self, snapshot: Snapshot, serving: Serving) -> None:
        """Raises: EngineFailed."""
        try:
            await await_live_sides(serving.snapshot, snapshot)
        except BaseException:
            serving.discard_snapshot(snapshot)
            raise

    def _refuse(
        self,
        before: ConfigVersion,
        seen: FileStamp,
        begun: float,
    ) -> None:
        """The version before goes on, and all know that the file is no good as it is."""
        version = msgspec.structs.replace(before, seen=seen, looked_at=begun, ok=False)
        self._versions.write(version)
        self._metrics.config_ok.set(0)

    def _serve(
        self,
        version: ConfigVersion,
        snapshot: Snapshot,
        serving: Serving,
    ) -> None:
        self.serves = version
        self.digest = digest_of(version.config, version.policy)
        serving.replace_snapshot(snapshot)
        self._show(version)

    def _show(self, version: ConfigVersion) -> None:
        self._metrics.config_ok.set(version.ok)
        self._metrics.serves_version(version.read_at)


def _version_of(
    file: Path,
    seen: FileStamp,
    begun: float,
) -> ConfigVersion:
    """In a thread: a file of two hundred models takes a second. Raises: LlmopsError."""
    config = load_config(file)
    return ConfigVersion(
        config=config,
        policy=read_policy(config.guard, file.parent),
        prompts=read_prompts(config, file.parent),
        read_at=time.time(),
        seen=seen,
        looked_at=begun,
    )
