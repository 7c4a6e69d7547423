"""What `--check` warns of: what nobody can have meant, secrets, and names that are not there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from llmops_cli.gateway_file.config import GatewayConfig
from llmops_cli.gateway_file.document import read_document
from llmops_cli.gateway_file.mistake import Mistake, Place, misspelt
from llmops_cli.gateway_file.oddities import oddities_in
from llmops_cli.gateway_file.prompts import prompts_of
from llmops_cli.gateway_file.references import Kind, references_in
from llmops_cli.gateway_file.served import names_for_clients
from llmops_cli.serve.accounts.key import Key
from llmops_cli.serve.accounts.keys import KeyStore
from llmops_cli.serve.state import DATABASE, state_dir
from llmops_cli.serve.written_secrets import written_secrets


def warnings_of(config: GatewayConfig, file: Path) -> list[str]:
    """With their lines."""
    keys = keys_here()
    document = read_document(file)
    found = []
    for mistake in (*oddities_in(config), *_in_references(config, keys)):
        error = document.error(mistake)
        found.append(f"{error.message}; {error.hint}" if error.hint else error.message)
    at_keys = [*unknown_models(config, keys), *_at_keys_prompts(config, keys, file)]
    return [*found, *written_secrets(config, file), *at_keys]


def keys_here() -> list[Key]:
    """A machine without keys of a gateway's knows nothing to warn of; a check makes nothing."""
    folder = state_dir()
    if not (folder / DATABASE).is_file():
        return []
    return [key for key in KeyStore(folder).all() if key.revoked is None]


def _in_references(config: GatewayConfig, keys: Sequence[Key]) -> Iterator[Mistake]:
    """Keys that may be made later, and tags that they may get."""
    names = {key.name for key in keys}
    known = names | {key.id for key in keys}
    tags = {tag for key in keys for tag in key.tags}
    for kind, name, place, _ in references_in(config):
        if kind is Kind.KEY and name not in known:
            yield _no_key(place, name, names)
        elif kind is Kind.TAG and name not in tags:
            yield Mistake(place, f"no key here has the tag {name}", f"--tag {name}=VALUE")


def _no_key(place: Place, name: str, names: set[str]) -> Mistake:
    if names:
        return misspelt(place, "key", name, names)
    return Mistake(place, f"there is no key {name} here yet", f"llmops keys create --name {name}")


def unknown_models(config: GatewayConfig, keys: Sequence[Key]) -> Iterator[str]:
    models = names_for_clients(config)
    for key in keys:
        for model in key.models:
            if models is not None and model not in models:
                yield f"key {key.name} may use {model}, which is no model of this file"


def _at_keys_prompts(config: GatewayConfig, keys: Sequence[Key], file: Path) -> Iterator[str]:
    known = prompts_of(config, file.parent) if any(key.prompts for key in keys) else {}
    for key in keys:
        for prompt in key.prompts:
            if prompt not in known:
                yield f"key {key.name} may use {prompt}, which is no prompt of this file"
