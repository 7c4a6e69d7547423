"""Engines run a model: (artifact, options, env) -> ServerSpec. Pure; nothing is started here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, cast

from llmops_cli.core.artifact import Artifact
from llmops_cli.core.errors import unknown_name
from llmops_cli.core.names import load_named
from llmops_cli.core.spec import Env, ServerSpec

ENGINES = {
    "llamacpp": "llmops_cli.engines.llamacpp:Llamacpp",
    "remote": "llmops_cli.engines.remote:Remote",
    "sim": "llmops_cli.engines.sim:Sim",
}


class Engine(Protocol):
    """`formats` it can serve (best first; empty: needs no model), `environment` it runs in (None: any Python),
    `options` it takes, and fields its server wants in each request body of a load test."""

    formats: tuple[str, ...]
    environment: str | None
    options: tuple[str, ...]
    bench_body: Mapping[str, object]

    def server(
        self, artifact: Artifact, *, options: Mapping[str, str], env: Env | None, port: int, parallel: int
    ) -> ServerSpec: ...


def load_engine(name: str) -> Engine:
    """Raises: UsageError with a did-you-mean."""
    return cast(type[Engine], load_named("backend", name, ENGINES, "llmops.engines"))()


def check_options(engine: Engine, options: Mapping[str, str]) -> None:
    """Raises: UsageError for a --set key this engine does not take."""
    for key in options:
        if key not in engine.options:
            raise unknown_name("engine option", key, engine.options)
