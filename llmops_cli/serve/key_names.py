"""Names of keys in the gateway's file, and of its models at keys: whether each other has them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from llmops_cli.gateway_file.config import GatewayConfig
from llmops_cli.gateway_file.document import read_document
from llmops_cli.gateway_file.mistake import Mistake, misspelt
from llmops_cli.serve.accounts.key import Key
from llmops_cli.serve.accounts.keys import KeyStore
from llmops_cli.serve.state import DATABASE, state_dir


def warnings_about_keys(config: GatewayConfig, file: Path) -> list[str]:
    """With their lines. A machine without keys of a gateway's knows nothing to warn of."""
    folder = state_dir()
    if not (folder / DATABASE).is_file():
        return []
    keys = [key for key in KeyStore(folder).all() if key.revoked is None]
    document = read_document(file)
    found = []
    for mistake in _in_rules(config, keys):
        error = document.error(mistake)
        found.append(f"{error.message}; {error.hint}" if error.hint else error.message)
    return found + list(_at_keys(config, keys))


def _in_rules(config: GatewayConfig, keys: Sequence[Key]) -> Iterator[Mistake]:
    known = {name for key in keys for name in (key.name, key.id)}
    names = {key.name for key in keys}
    for model, settings in config.models.items():
        for number, rule in enumerate(settings.rules):
            for which, name in enumerate(rule.keys):
                if name not in known:
                    place = ("models", model, "rules", number, "keys", which)
                    yield misspelt(place, "key", name, names)


def _at_keys(config: GatewayConfig, keys: Sequence[Key]) -> Iterator[str]:
    models = set(config.models)
    for settings in config.models.values():
        models |= set(settings.adapters)
    for key in keys:
        for model in key.models:
            if models and model not in models:
                yield f"key {key.name} may use {model}, which is no model of this file"
