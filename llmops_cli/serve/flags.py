"""The gateway's configuration that a command line, or the file it names, stands for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from llmops_cli.core.errors import EnvironmentMissing, UsageError
from llmops_cli.gateway_file.config import AuditConfig, GatewayConfig, RedisConfig
from llmops_cli.gateway_file.model import CacheConfig
from llmops_cli.gateway_file.read import load_config
from llmops_cli.gateway_file.upstream import UpstreamConfig
from llmops_cli.gateway_file.url import MODEL_PLACE, bad_url
from llmops_cli.guard.models import ready_policy
from llmops_cli.runtime.keys import require_header_value
from llmops_cli.runtime.paths import at_home
from llmops_cli.serve.prompts.library import read_prompts
from llmops_cli.serve.recipe import ServeRecipe

DEFAULT_GUARD = "default"


IN_THE_FILE = (
    "model",
    "backend",
    "replicas",
    "upstream",
    "keys",
    "guard",
    "cache",
    "redis",
    "audit",
    "upstream_key_env",
    "options",
)
"""What a configuration file says itself."""
SPELLINGS = {"model": "MODEL", "options": "--set"}


def gateway_config(recipe: ServeRecipe, origins: Mapping[str, str]) -> GatewayConfig:
    """The file's configuration, or the one that the flags stand for.

    Raises: UsageError for a contradiction; EnvironmentMissing for a file or key not there.
    """
    _check_tls(recipe)
    if recipe.config is not None:
        _refuse_what_the_file_says(origins)
        return _from_file(Path(recipe.config))
    if recipe.check:
        raise UsageError("--check needs a --config")
    return GatewayConfig(
        upstreams=_upstreams(recipe),
        keys_required=recipe.keys is not False,
        audit=AuditConfig(on=recipe.audit is not False),
        guard=_guard(recipe.guard),
        cache=CacheConfig() if recipe.cache else None,
        redis=RedisConfig(url=recipe.redis) if recipe.redis else None,
    )


def _from_file(path: Path) -> GatewayConfig:
    """Policy and prompts are read too, so that wrong ones are told before the start.

    Raises: LlmopsError.
    """
    config = load_config(path)
    guard = config.guard
    if guard is not None and guard != DEFAULT_GUARD:
        ready_policy(path.parent / at_home(guard))
    read_prompts(config, path.parent)
    return config


def _check_tls(recipe: ServeRecipe) -> None:
    if bool(recipe.tls_cert) != bool(recipe.tls_key):
        raise UsageError("--tls-cert and --tls-key go together")
    for file in (recipe.tls_cert, recipe.tls_key):
        if file and not Path(file).is_file():
            raise EnvironmentMissing(f"no file at {file}")


def _refuse_what_the_file_says(origins: Mapping[str, str]) -> None:
    """Also what was said with `no`: --no-keys beside a file would be taken for heard."""
    for name in IN_THE_FILE:
        if origins[name] != "default":
            spelling = SPELLINGS.get(name, f"--{name.replace('_', '-')}")
            raise UsageError(f"{spelling} stands in the file when there is --config")


def _upstreams(recipe: ServeRecipe) -> dict[str, UpstreamConfig]:
    if recipe.upstream is None:
        engine = UpstreamConfig(
            engine=recipe.backend or "llamacpp",
            model=recipe.model or "demo",
            replicas=recipe.replicas or 1,
            options=dict(recipe.options),
        )
        return {"engine": engine}
    if recipe.model or recipe.backend or recipe.replicas:
        raise UsageError(
            "--upstream fronts what runs already, without MODEL, --backend or --replicas"
        )
    mistake = bad_url(recipe.upstream)
    if mistake:
        raise UsageError(f"--upstream {mistake}", hint="http://127.0.0.1:9000/v1")
    if MODEL_PLACE in recipe.upstream:
        raise UsageError(f"{MODEL_PLACE} in a URL needs a file with models:", hint="--config")
    key_env = recipe.upstream_key_env
    if key_env:
        key = os.environ.get(key_env, "").strip()
        if not key:
            raise EnvironmentMissing(f"the environment variable {key_env} is not set")
        require_header_value(key, variable=key_env)
    return {"upstream": UpstreamConfig(url=recipe.upstream, key_env=key_env)}


def _guard(named: str | None) -> str | None:
    """The policy by its place; read once here, so that a wrong one is told before the start."""
    if named is None or named == DEFAULT_GUARD:
        return named
    ready_policy(Path(named))
    return str(Path(named).resolve())
