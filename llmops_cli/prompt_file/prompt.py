"""What a prompt file says: messages with holes, and how they are to be asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from llmops_cli.core.errors import UsageError, nearest_name
from llmops_cli.prompt_file.template import fill, holes_in

Role = Literal["system", "user", "assistant"]
VERSION_CHARS = 12
"""Of a digest, where people read it."""


class PromptMessage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One message; its content may have holes: `{{question}}`."""

    role: Role
    content: str

    def as_dict(self) -> dict[str, str]:
        """As chat endpoints take it."""
        return {"role": self.role, "content": self.content}


class Prompt(msgspec.Struct, frozen=True, kw_only=True):
    """One prompt, as it was read.

    `variables`: values for holes that nobody fills. `schema`: the JSON schema of the answer.
    `digest` is of all that decides what a model is asked, so not of name, description or layout.
    """

    name: str
    messages: tuple[PromptMessage, ...]
    description: str = ""
    model: str | None = None
    parameters: dict[str, Any] = {}  # Any: JSON, as endpoints take it
    schema: dict[str, Any] | None = None  # Any: a JSON schema
    variables: dict[str, str] = {}
    digest: str = ""
    path: Path | None = None

    @property
    def version(self) -> str:
        """The beginning of the digest."""
        return self.digest.removeprefix("sha256:")[:VERSION_CHARS]

    @property
    def holes(self) -> list[str]:
        """Names of variables in the messages, in the order of their first place."""
        found: dict[str, None] = {}
        for message in self.messages:
            found.update(dict.fromkeys(holes_in(message.content)))
        return list(found)

    @property
    def required(self) -> list[str]:
        """Holes that have no value of their own."""
        return [name for name in self.holes if name not in self.variables]

    def filled_bytes(self, values: Mapping[str, str]) -> int:
        """UTF-8 bytes of the filled messages at most, told without making them."""
        known = {**self.variables, **values}
        sizes = {name: len(value.encode()) for name, value in known.items()}
        texts = sum(len(message.content.encode()) for message in self.messages)
        return texts + sum(sizes.get(name, 0) * count for name, count in self.uses().items())

    def uses(self) -> Counter[str]:
        """How often each variable stands in the messages."""
        return Counter(name for message in self.messages for name in holes_in(message.content))

    def filled(self, values: Mapping[str, str]) -> list[dict[str, str]]:
        """The messages with every hole filled.

        A value is text and never read for holes again. Raises: UsageError for a hole without a
        value, or a value without a hole.
        """
        self._require(values)
        known = {**self.variables, **values}
        return [
            {"role": message.role, "content": fill(message.content, known)}
            for message in self.messages
        ]

    def _require(self, values: Mapping[str, str]) -> None:
        for name in values:
            if name not in self.holes:
                hint = nearest_name(name, self.holes) if self.holes else "it has no variables"
                raise UsageError(f"prompt '{self.name}' has no variable '{name}'", hint=hint)
        missing = [name for name in self.required if name not in values]
        if missing:
            listed = ", ".join(missing)
            raise UsageError(
                f"prompt '{self.name}' needs a value for: {listed}",
                hint=f"--var {missing[0]}=...",
            )
