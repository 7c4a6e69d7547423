"""What `llmops serve` asks for on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from llmops_cli.core.fields import Flag
from llmops_cli.core.grammar import read_pairs

ReplicaCount = Annotated[int, msgspec.Meta(ge=1, le=64)]
LogFormat = Literal["text", "json"]
Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]


class ServeRecipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A gateway in front of one engine or endpoint, or of what a file names."""

    model: Annotated[
        str | None,
        Flag(
            help="A folder, a .gguf file, a hub name, demo or smollm2 (`llmops models list`).",
            default="demo",
            argument=True,
        ),
    ] = None
    backend: Annotated[
        str | None, Flag(help="The engine that is started for it.", default="llamacpp")
    ] = None
    replicas: Annotated[ReplicaCount | None, Flag(help="So many of it.", default="1")] = None
    upstream: Annotated[
        str | None, Flag(help="Front this endpoint instead: http://127.0.0.1:9000/v1")
    ] = None
    config: Annotated[
        str | None, Flag(help="A YAML file instead of all that: upstreams, models, limits.")
    ] = None
    check: Annotated[bool, Flag(help="Read the file, say what is wrong, and end.")] = False
    host: Annotated[str, Flag(help="Wider addresses need a key to exist.")] = "127.0.0.1"
    port: Annotated[Port, Flag(help="Where to listen.")] = 8080
    workers: Annotated[
        ReplicaCount, Flag(help="Processes that serve; they share keys, limits and caches.")
    ] = 1
    keys: Annotated[
        bool | None,
        Flag(help="Ask for a key; without only on 127.0.0.1.", names=("--keys/--no-keys",)),
    ] = None
    guard: Annotated[
        str | None, Flag(help="Judge prompts and answers: default, or a policy file.")
    ] = None
    cache: Annotated[
        bool, Flag(help="Give the same answer to the same request of a key, for an hour.")
    ] = False
    redis: Annotated[
        str | None,
        Flag(help="Share limits, budgets and cache with other gateways: redis://HOST:6379/0"),
    ] = None
    audit: Annotated[
        bool | None,
        Flag(
            help="A line a request in LLMOPS_STATE_DIR/audit.jsonl.",
            names=("--audit/--no-audit",),
        ),
    ] = None
    log_format: Annotated[
        LogFormat | None,
        Flag(help="What all processes say: words, or JSON a line.", default="LLMOPS_LOG_FORMAT"),
    ] = None
    upstream_key_env: Annotated[
        str | None, Flag(help="The variable that holds the upstream's own key.")
    ] = None
    tls_cert: Annotated[str | None, Flag(help="PEM certificate; serves HTTPS.")] = None
    tls_key: Annotated[str | None, Flag(help="Its private key.")] = None
    options: Annotated[
        dict[str, str],
        Flag(
            help="An option of the engine, key=value. May be repeated.",
            names=("--set",),
            repeat=True,
            read=read_pairs,
        ),
    ] = {}

    @property
    def tls(self) -> tuple[Path, Path] | None:
        """Certificate and key."""
        if self.tls_cert is None or self.tls_key is None:
            return None
        return Path(self.tls_cert), Path(self.tls_key)
