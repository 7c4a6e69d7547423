"""Members by a file: targets in JSON or YAML, as Prometheus' file_sd has them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from llmops_cli.core.misfit import misfit_of
from llmops_cli.core.urls import shown_url
from llmops_cli.core.wrong_json import UNREADABLE as NO_JSON
from llmops_cli.core.wrong_json import wrong_in
from llmops_cli.gateway_file.discovery import DiscoverConfig, host_port
from llmops_cli.gateway_file.url import MODEL_PLACE, bad_url
from llmops_cli.serve.upstreams.discovery.found import Found, LookupFailed, MemberAddress
from llmops_cli.serve.upstreams.discovery.thread import in_thread

LOOK_S = 1.0
BYTES_MOST = 256 << 10
SHOWN_CHARS = 80
NOT_THERE = (0, 0, 0)
Stamp = tuple[int, int, int]


class TargetGroup(msgspec.Struct, frozen=True):
    """`labels` and whatever else stands there are for others."""

    targets: list[str]
    labels: dict[str, Any] = {}  # Any: a file of Prometheus' may have what it likes


Targets = list[str | TargetGroup]


class TargetFile:
    """A file that is replaced is read at once; one that is written in place, when it has settled.

    One that cannot be read, or is gone, changes nothing.
    """

    retry_s = LOOK_S
    retry_most_s = LOOK_S

    def __init__(self, config: DiscoverConfig) -> None:
        assert config.file is not None
        self._config = config
        self._path = Path(config.file)
        self._read = NOT_THERE
        self._seen = NOT_THERE

    async def find(self) -> Found | None:
        """Raises: LookupFailed."""
        stamp = self._stamp()
        before = self._seen
        self._seen = stamp
        if stamp == self._read:
            return None
        is_first = self._read == NOT_THERE
        is_replaced = stamp[1] != before[1]
        if not is_first and not is_replaced and stamp != before:
            return None
        self._read = stamp
        members = await in_thread(self._members)
        return Found(members, LOOK_S, is_sure=True)

    def _stamp(self) -> Stamp:
        """Raises: LookupFailed."""
        try:
            found = self._path.stat()
        except OSError as error:
            raise LookupFailed(f"{self._path}: {error.strerror}") from None
        return found.st_mtime_ns, found.st_ino, found.st_size

    def _members(self) -> tuple[MemberAddress, ...]:
        """Raises: LookupFailed."""
        targets = _decoded(self._raw(), self._path)
        found = dict[str, MemberAddress]()
        for target in targets:
            for each in [target] if isinstance(target, str) else target.targets:
                url = self._url(each)
                found[url] = MemberAddress(url)
        return tuple(found.values())

    def _raw(self) -> bytes:
        try:
            with self._path.open("rb") as file:
                raw = file.read(BYTES_MOST + 1)
        except OSError as error:
            raise LookupFailed(f"{self._path}: {error.strerror}") from None
        if len(raw) > BYTES_MOST:
            raise LookupFailed(f"{self._path} has more than {BYTES_MOST:,} bytes")
        if not raw.strip():
            raise LookupFailed(f"{self._path} is empty; nobody is []")
        return raw

    def _url(self, target: str) -> str:
        """Raises: LookupFailed for what is no address."""
        config = self._config
        url = target
        if "://" not in target:
            url = f"{config.scheme}://{target}{config.path}"
        if bad_url(url) is not None or MODEL_PLACE in target or not _has_port(target):
            shown = shown_url(target)[:SHOWN_CHARS]
            raise LookupFailed(f"{self._path}: {shown!r} is no target, such as 10.0.0.1:8000")
        return url


def _has_port(target: str) -> bool:
    """A bare name, cut or misspelt, is no target; a whole URL has a port by its scheme."""
    if "://" in target:
        return True
    try:
        host_port(target)
    except ValueError:
        return False
    return True


def _decoded(raw: bytes, path: Path) -> Targets:
    """Raises: LookupFailed."""
    values = _json(raw, path) if path.suffix == ".json" else _yaml(raw, path)
    misfit = misfit_of(values, Targets)
    if misfit is not None:
        raise LookupFailed(f"{path}: {misfit.told}")
    return msgspec.convert(values, Targets)


def _json(raw: bytes, path: Path) -> object:
    """Raises: LookupFailed."""
    try:
        return msgspec.json.decode(raw)
    except NO_JSON:
        raise LookupFailed(f"{path}: {wrong_in(raw, object)}") from None


def _yaml(raw: bytes, path: Path) -> object:
    """Raises: LookupFailed."""
    from llmops_cli.runtime.yaml_text import UNREADABLE, load_yaml, reason_of

    try:
        return load_yaml(raw)
    except UNREADABLE as error:
        raise LookupFailed(f"{path} is not YAML: {reason_of(error)}") from None
