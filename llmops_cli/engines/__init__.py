"""Engines run a model: (artifact, options, env) -> ServerSpec. Pure; nothing is started here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Protocol, cast

from llmops_cli.core.artifact import Artifact
from llmops_cli.core.errors import UsageError, unknown_name
from llmops_cli.core.names import load_named, plugin_names
from llmops_cli.core.options import COMMON, normalized
from llmops_cli.core.spec import Env, ServerSpec

ENGINES = {
    "llamacpp": "llmops_cli.engines.llamacpp:Llamacpp",
    "vllm": "llmops_cli.engines.vllm:Vllm",
    "transformers": "llmops_cli.engines.transformers:Transformers",
    "ctranslate2": "llmops_cli.engines.ctranslate2:Ctranslate2",
    "remote": "llmops_cli.engines.remote:Remote",
    "sim": "llmops_cli.engines.sim:Sim",
}


class Engine(Protocol):
    """`formats` it can serve (best first; empty: needs no model), `environment` it runs in (None:
    any Python), `options` it takes (common ones of core.options and its own; those in `numbers`, if
    there are any, are plain numbers; a method `check` may refuse values before any work), and
    fields that its server wants in each request body of a load test.
    """

    formats: tuple[str, ...]
    environment: str | None
    options: tuple[str, ...]
    bench_body: Mapping[str, object]

    def server(
        self,
        artifact: Artifact,
        *,
        options: Mapping[str, str],
        env: Env | None,
        port: int,
        parallel: int,
    ) -> ServerSpec: ...


def load_engine(name: str) -> Engine:
    """Raises: UsageError with a did-you-mean."""
    return cast(type[Engine], load_named("backend", name, ENGINES, "llmops.engines"))()


def engine_names() -> list[str]:
    """Built-in engines and those of other packages."""
    return [*ENGINES, *(name for name in plugin_names("llmops.engines") if name not in ENGINES)]


def checked_options(name: str, engine: Engine, options: Mapping[str, str]) -> dict[str, str]:
    """The options in one spelling.

    Raises: UsageError for one that this engine does not have, naming those that have it, or for a
    bad value.
    """
    for key in options:
        if key in engine.options:
            continue
        if key in COMMON:
            others = [
                other for other in ENGINES if other != name and key in load_engine(other).options
            ]
            raise UsageError(
                f"engine '{name}' has no --{key.replace('_', '-')}",
                hint=f"these have: {', '.join(others)}",
            )
        raise unknown_name("engine option", key, engine.options)
    for key in getattr(engine, "numbers", ()):
        if key in options and not re.fullmatch(r"\d+(\.\d+)?", options[key].strip()):
            raise UsageError(f"--set {key}={options[key]}: not a number from 0 on")
    found = normalized(options)
    check = getattr(engine, "check", None)
    if check is not None:
        check(found)
    return found
