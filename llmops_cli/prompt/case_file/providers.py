"""Providers that a file of cases names: which are OpenAI's kind of model, and how it is asked."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.core.misfit import misfit_of
from llmops_cli.prompt.case_file.findings import Findings
from llmops_cli.prompt.case_file.lined import LinedDict, LinedList, Where, plain
from llmops_cli.prompt.case_file.pointed import is_pointer, read_pointed
from llmops_cli.prompt.case_file.suite import NamedProvider

MODEL_PREFIXES = ("openai:chat:", "openai:", "openrouter:", "vllm:", "litellm:", "localai:chat:")
NO_MODELS = (
    "embedding:",
    "completion:",
    "image:",
    "realtime:",
    "assistant:",
    "responses:",
    "agents:",
)
PROVIDER_KEYS = ("id", "config", "label", "env", "delay")
SETTING_KEYS = {
    "temperature": "temperature",
    "max_tokens": "max_tokens",
    "max_completion_tokens": "max_tokens",
    "tools": "tools",
    "response_format": "response_format",
    "stop": "stop",
}
"""Of a provider's config: what is sent, and by which of our names."""
OF_ITS_SERVER = (
    "apiKey",
    "apiKeyEnvar",
    "apiHost",
    "apiBaseUrl",
    "organization",
    "headers",
    "cost",
)
"""Where promptfoo asks it; here --url says so."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What of them a request has."""

    temperature: Annotated[float, msgspec.Meta(ge=0)] | None = None
    max_tokens: Annotated[int, msgspec.Meta(ge=1)] | None = None
    tools: list[dict[str, Any]] | None = None  # Any: OpenAI's form
    response_format: dict[str, Any] | None = None  # Any: as above
    stop: str | list[str] | None = None


def read_providers(top: LinedDict, findings: Findings) -> list[NamedProvider]:
    """Raises: UsageError for a setting that is none."""
    key = "targets" if "targets" in top else "providers"
    found = top.get(key)
    if found is None:
        return []
    items = found if isinstance(found, LinedList) else [found]
    providers = []
    for number, item in enumerate(items):
        at = found.where_is(number) if isinstance(found, LinedList) else top.where_is(key)
        providers.append(_provider(item, at, findings))
    return providers


def _provider(item: Any, where: Where, findings: Findings) -> NamedProvider:  # Any: YAML
    if not isinstance(item, LinedDict):
        return NamedProvider(id=str(item), where=str(where), model=_model_of(str(item)))
    name = str(item.get("id") or next(iter(item), ""))
    inner = item if "id" in item else item.get(name)
    model = _model_of(name)
    settings: dict[str, Any] = {}
    unsent: tuple[str, ...] = ()
    if model is not None and isinstance(inner, LinedDict):
        config = inner.get("config")
        if isinstance(config, LinedDict):
            settings = _settings(config, findings)
        unsent = _unsent(inner, config)
    return NamedProvider(id=name, where=str(where), model=model, settings=settings, unsent=unsent)


def _unsent(provider: LinedDict, config: Any) -> tuple[str, ...]:  # Any: YAML
    """Names of what would change answers and is not done here."""
    known = {*SETTING_KEYS, *OF_ITS_SERVER}
    own = [name for name in provider if name not in PROVIDER_KEYS]
    of_config = config if isinstance(config, LinedDict) else {}
    return (*own, *(f"config.{name}" for name in of_config if name not in known))


def _settings(config: LinedDict, findings: Findings) -> dict[str, Any]:  # Any: OpenAI's own fields
    found = {}
    for key, name in SETTING_KEYS.items():
        value = config.get(key)
        if is_pointer(value):
            value = read_pointed(value, config.where_is(key), findings)
        if value is None:
            continue
        found[name] = plain(value)
        misfit = misfit_of({name: found[name]}, Settings)
        if misfit is not None:
            raise UsageError(f"{config.where_is(key)}: {misfit.told}", hint=misfit.hint)
    return found


def _model_of(name: str) -> str | None:
    """How an OpenAI-style server calls it; None for a provider of another kind."""
    for prefix in MODEL_PREFIXES:
        if name.startswith(prefix):
            model = name.removeprefix(prefix)
            return None if model.startswith(NO_MODELS) else model
    return None
