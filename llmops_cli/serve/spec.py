"""All that a process needs to serve."""

from __future__ import annotations

import ipaddress

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.gateway_file.config import GatewayConfig
from llmops_cli.serve.versions import FileStamp


class GatewaySpec(msgspec.Struct, frozen=True, kw_only=True):
    """`urls`: where engines that were started answer, by upstream.

    `digests`: of their models. `stamp`: of the file as it was when `config` was read. `build`: of
    the code.
    """

    folder: str
    config: GatewayConfig
    host: str = "127.0.0.1"
    file: str | None = None
    stamp: FileStamp = FileStamp()
    urls: dict[str, list[str]] = {}
    digests: dict[str, str] = {}
    build: str = ""
    tls_cert: str | None = None
    tls_key: str | None = None


def check_bind(
    host: str,
    *,
    has_key: bool,
    keys_required: bool,
) -> None:
    """Raises: UsageError for an address that others reach without keys in the way."""
    if _is_local(host):
        return
    if not keys_required:
        raise UsageError(f"--no-keys at {host} would let everybody in", hint="only on 127.0.0.1")
    if not has_key:
        raise UsageError(
            f"{host} is reached by others, and there is no key", hint="llmops keys create --name N"
        )


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
