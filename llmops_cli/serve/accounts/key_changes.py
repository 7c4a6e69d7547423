"""What `llmops keys update` asks for, and the key that comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from llmops_cli.core.errors import UsageError, unknown_name
from llmops_cli.serve.accounts.key import Key

EMPTY: dict[str, Any] = {  # Any: values of a key's fields
    "models": [],
    "prompts": [],
    "expires": None,
    "requests_per_minute": None,
    "tokens_per_minute": None,
    "streams": None,
    "budget_dollars": None,
    "budget_tokens": None,
    "tags": {},
}
"""What can be taken from a key, and what it has then."""


class KeyChanges(msgspec.Struct, frozen=True, kw_only=True):
    """`fields`: new values by name. `clear`: names of EMPTY. Models and tags one by one, too."""

    fields: Mapping[str, Any] = {}  # Any: values of a key's fields
    clear: tuple[str, ...] = ()
    add_models: tuple[str, ...] = ()
    remove_models: tuple[str, ...] = ()
    add_tags: Mapping[str, str] = {}
    remove_tags: tuple[str, ...] = ()

    def applied_to(self, key: Key) -> Key:
        """Raises: UsageError for a contradiction, or for nothing to change."""
        values = dict(self.fields)
        for name in self._cleared():
            if name in values:
                raise UsageError(f"{_spelt(name)} is given and cleared at once")
            values[name] = EMPTY[name]
        values["models"] = self._models(values.get("models", key.models), key)
        values["tags"] = self._tags(values.get("tags", key.tags))
        changed = msgspec.structs.replace(key, **values)
        if changed == key:
            raise UsageError("nothing to change", hint="llmops keys update --help")
        return changed

    def _cleared(self) -> list[str]:
        """Raises: UsageError."""
        names = [name.replace("-", "_") for name in self.clear]
        for name in names:
            if name not in EMPTY:
                raise unknown_name("field to clear", _spelt(name), map(_spelt, EMPTY))
        return names

    def _models(self, models: list[str], key: Key) -> list[str]:
        """Raises: UsageError: a key without the last of its models would serve all of them."""
        if self.add_models and not models:
            raise UsageError(
                f"{key.name} may use all models already", hint="--models a,b says which"
            )
        found = [*models, *(name for name in self.add_models if name not in models)]
        for name in self.remove_models:
            if name not in found:
                raise unknown_name("model of the key", name, found)
            found.remove(name)
        if self.remove_models and not found:
            raise UsageError(
                "a key without models may use all", hint="--clear models, if that is meant"
            )
        return found

    def _tags(self, tags: dict[str, str]) -> dict[str, str]:
        """Raises: UsageError."""
        found = {**tags, **self.add_tags}
        for name in self.remove_tags:
            if name not in found:
                raise unknown_name("tag of the key", name, found)
            del found[name]
        return found


def _spelt(name: str) -> str:
    return name.replace("_", "-")
