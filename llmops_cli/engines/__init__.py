"""Engines run a model: (artifact, options, env) -> ServerSpec. Pure; nothing is started here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import cast

from llmops_cli.core.errors import EnvironmentMissing, LlmopsError, UsageError, unknown_name
from llmops_cli.core.names import load_named, load_object, plugin_names
from llmops_cli.engines.engine import CpuNeed, Engine, EngineFacts, Signature
from llmops_cli.engines.options import COMMON, EngineOptions, read_options

__all__ = [
    "ENGINES",
    "Engine",
    "CpuNeed",
    "EngineFacts",
    "Signature",
    "engine_names",
    "engines_for",
    "load_engine",
    "load_engines",
    "packages_of",
    "parse_options",
]

ENGINES = {
    "llamacpp": "llmops_cli.engines.llamacpp:Llamacpp",
    "vllm": "llmops_cli.engines.vllm:Vllm",
    "transformers": "llmops_cli.engines.transformers:Transformers",
    "ctranslate2": "llmops_cli.engines.ctranslate2:Ctranslate2",
    "remote": "llmops_cli.engines.remote:Remote",
    "sim": "llmops_cli.engines.sim:Sim",
}


NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?|\.[0-9]+")
WHOLE = re.compile(r"[0-9]+")


def load_engine(name: str) -> Engine:
    """Raises: UsageError with a did-you-mean; EnvironmentMissing for a plugin that is broken."""
    if name in ENGINES:
        return _new(load_object(ENGINES[name]))
    try:
        engine = _new(load_named("backend", name, ENGINES, "llmops.engines"))
        facts = engine.facts
    except LlmopsError:
        raise
    except Exception as error:
        raise _broken(name, f"{type(error).__name__}: {error}") from error
    if not isinstance(facts, EngineFacts):
        raise _broken(name, "its facts are no EngineFacts")
    return engine


def _new(found: object) -> Engine:
    kind = cast(type[Engine], found)
    return kind()


def _broken(name: str, reason: str) -> EnvironmentMissing:
    return EnvironmentMissing(
        f"the engine {name}, of another package, cannot be loaded: {reason}",
        hint="update or remove that package",
    )


def load_engines() -> tuple[dict[str, Engine], dict[str, str]]:
    """Every engine by name; and for plugins that cannot be loaded, why."""
    loaded = {}
    broken = {}
    for name in engine_names():
        try:
            loaded[name] = load_engine(name)
        except EnvironmentMissing as error:
            broken[name] = error.message
    return loaded, broken


def engine_names() -> list[str]:
    """Built-in engines and those of other packages."""
    plugins = [name for name in plugin_names("llmops.engines") if name not in ENGINES]
    return [*ENGINES, *plugins]


def engines_for(model_format: str) -> list[str]:
    """Engines of ours that serve the format, best first."""
    return [name for name in ENGINES if model_format in load_engine(name).facts.formats]


def engines_of_vectors() -> list[str]:
    """Engines of ours that serve models that make vectors."""
    return [name for name in ENGINES if load_engine(name).facts.makes_vectors]


def packages_of(environment: str) -> list[str]:
    """The packages whose versions count in an environment that engines run in."""
    found: dict[str, None] = {}
    loaded, _ = load_engines()
    for engine in loaded.values():
        facts = engine.facts
        if facts.environment == environment:
            found.update(dict.fromkeys(facts.packages))
    return list(found)


def parse_options(
    name: str,
    engine: Engine,
    wishes: Mapping[str, str],
) -> EngineOptions:
    """The wishes as this engine's options, checked.

    Raises: UsageError for one that this engine does not have, naming those that have it, or for a
    bad value.
    """
    facts = engine.facts
    for wish in wishes:
        if wish not in facts.options:
            raise _not_taken(name, facts, wish)
    for number in facts.numbers:
        _require_number(number, wishes, NUMBER, "a number")
    for count in facts.counts:
        _require_number(count, wishes, WHOLE, "a whole number")
    options = read_options(wishes)
    engine.check(options)
    return options


def _require_number(
    option: str,
    wishes: Mapping[str, str],
    form: re.Pattern[str],
    words: str,
) -> None:
    text = wishes.get(option)
    if text is not None and not form.fullmatch(text.strip()):
        raise UsageError(f"--set {option}={text}: not {words} from 0 on")


def _not_taken(
    name: str,
    facts: EngineFacts,
    wish: str,
) -> UsageError:
    if wish not in COMMON:
        return unknown_name("engine option", wish, facts.options)
    others = [
        other for other in ENGINES if other != name and wish in load_engine(other).facts.options
    ]
    return UsageError(
        f"engine '{name}' has no --{wish.replace('_', '-')}",
        hint=f"these have: {', '.join(others)}",
    )
