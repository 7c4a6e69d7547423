"""What is attacked: named before a run has a folder, and titled the same everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.redteam.recipe import RedteamRecipe
from llmops_cli.runtime.chat import chat_endpoint, require_answer
from llmops_cli.runtime.http import Http
from llmops_cli.runtime.keys import api_key, bearer
from llmops_cli.runtime.paths import end_of
from llmops_cli.serving.recognise import served_model
from llmops_cli.serving.target import EngineTarget


class NamedTarget(msgspec.Struct, frozen=True, kw_only=True):
    """A recipe whose model has a name, and where each of its values is from."""

    recipe: RedteamRecipe
    origins: dict[str, str]


def named_target(recipe: RedteamRecipe, origins: Mapping[str, str]) -> NamedTarget:
    """A server's own first model is taken where nobody named one.

    Raises: EnvironmentMissing if nothing answers at the URL; UsageError for a server that lists no
    model where nobody named one.
    """
    if recipe.url is None:
        return NamedTarget(recipe=recipe, origins=dict(origins))
    key = api_key(recipe.api_key_env)
    endpoint = chat_endpoint(recipe.url, recipe.model, key=key)
    require_answer(endpoint)
    if origins.get("model", "default") != "default":
        return NamedTarget(recipe=recipe, origins=dict(origins))
    model = served_model(endpoint.url, Http(bearer(key)))
    if model is None:
        raise UsageError(f"{endpoint.url} lists no models", hint="name one: --model NAME")
    return NamedTarget(
        recipe=msgspec.structs.replace(recipe, model=model),
        origins={**origins, "model": "server"},
    )


def engine_target(recipe: RedteamRecipe) -> EngineTarget:
    """What answers, for `serving`; the recipe's model is named."""
    return EngineTarget(
        backend=recipe.backend,
        model=recipe.model,
        url=recipe.url,
        options=recipe.options,
    )


def target_host(recipe: Mapping[str, object]) -> str | None:
    """Host and port of a URL; None for an engine of ours."""
    url = recipe.get("url")
    if not url:
        return None
    return urlsplit(str(url)).netloc


def target_title(recipe: Mapping[str, object]) -> str:
    """`MODEL at HOST` for a server at a URL, else the model; what reports are called."""
    if recipe.get("target") == "guard":
        return f"the guard ({recipe.get('guard') or 'default'})"
    model = str(recipe.get("model"))
    host = target_host(recipe)
    if host is None:
        return model
    return f"{model} at {host}"


def folder_word(recipe: RedteamRecipe) -> str:
    """What a run's folder is called after."""
    if recipe.target == "guard":
        return f"guard-{Path(recipe.guard or 'default').stem}"
    model = end_of(recipe.model)
    host = target_host(msgspec.to_builtins(recipe))
    if host is None:
        return model
    return f"{host}-{model}"
