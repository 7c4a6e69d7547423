"""What answers: named before a run has a folder, and titled the same everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.core.fields import FiniteAmount, Positive
from llmops_cli.core.misfit import misfit_of
from llmops_cli.prompt.technique_run.recipe import PromptRunRecipe
from llmops_cli.prompt_file.prompt import Prompt
from llmops_cli.runtime.chat import chat_endpoint, require_answer
from llmops_cli.runtime.http import Http
from llmops_cli.runtime.keys import api_key, bearer
from llmops_cli.runtime.paths import end_of
from llmops_cli.serving.recognise import served_model
from llmops_cli.serving.target import EngineTarget


class NamedTarget(msgspec.Struct, frozen=True, kw_only=True):
    """A recipe whose model has a name, and where each of its values is from."""

    recipe: PromptRunRecipe
    origins: dict[str, str]


def named_target(
    recipe: PromptRunRecipe,
    origins: Mapping[str, str],
    *,
    prompt: Prompt,
) -> NamedTarget:
    """Where nobody named a model: the prompt file's, else a server's own first one.

    The file's temperature and max_tokens hold too, where nobody gave others.
    Raises: EnvironmentMissing if nothing answers at the URL; UsageError for one without models.
    """
    for name, value in _of_prompt(prompt).items():
        if origins.get(name, "default") == "default":
            recipe = msgspec.structs.replace(recipe, **{name: value})
            origins = {**origins, name: "prompt"}
    is_named = origins.get("model", "default") != "default"
    if recipe.url is None:
        return NamedTarget(recipe=recipe, origins=dict(origins))
    key = api_key(recipe.api_key_env)
    endpoint = chat_endpoint(recipe.url, recipe.model, key=key, dialect=recipe.dialect)
    require_answer(endpoint)
    if is_named:
        return NamedTarget(recipe=recipe, origins=dict(origins))
    model = served_model(endpoint.url, Http(bearer(key)))
    if model is None:
        raise UsageError(f"{endpoint.url} lists no models", hint="name one: --model NAME")
    return NamedTarget(
        recipe=msgspec.structs.replace(recipe, model=model),
        origins={**origins, "model": "server"},
    )


def _of_prompt(prompt: Prompt) -> dict[str, object]:
    """Fields of a recipe that the file says. Raises: UsageError for no such number."""
    found: dict[str, object] = {}
    if prompt.model is not None:
        found["model"] = prompt.model
    for name, kind in (("temperature", FiniteAmount), ("max_tokens", Positive)):
        if name not in prompt.parameters:
            continue
        value = prompt.parameters[name]
        misfit = misfit_of(value, kind)
        if misfit is not None:
            raise UsageError(f"prompt '{prompt.name}': parameters.{name}: {misfit.told}")
        found[name] = msgspec.convert(value, kind)
    return found


def engine_target(recipe: PromptRunRecipe) -> EngineTarget:
    """What answers, for `serving`; the recipe's model is named."""
    return EngineTarget(
        backend=recipe.backend,
        model=recipe.model,
        url=recipe.url,
        options=recipe.options,
    )


def target_title(recipe: Mapping[str, object]) -> str:
    """`MODEL at HOST` for a server at a URL, else the model."""
    model = str(recipe.get("model"))
    url = recipe.get("url")
    if not url:
        return model
    return f"{model} at {urlsplit(str(url)).netloc}"


def folder_word(recipe: PromptRunRecipe) -> str:
    """What a run's folder is called after."""
    return f"{recipe.technique[0]}-{end_of(recipe.model)}"
