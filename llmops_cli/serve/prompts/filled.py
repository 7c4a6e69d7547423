"""A prompt in a request with the values that the client gives: its messages can be made anew."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from llmops_cli.prompt_file.prompt import Prompt
from llmops_cli.serve.refusal import Refusal


class FilledPrompt(NamedTuple):
    """`values`: the client's own. The prompt's messages are the first of the request's."""

    prompt: Prompt
    values: Mapping[str, str]

    @property
    def length(self) -> int:
        """Of its messages."""
        return len(self.prompt.messages)

    def require_within(self, most_bytes: int) -> None:
        """Before anything is made of it: a variable stands where, and as often as, a file says.

        Raises: Refusal.
        """
        size_bytes = self.prompt.filled_bytes(self.values)
        if size_bytes <= most_bytes:
            return
        said = (
            f"prompt {self.prompt.name!r} would be {size_bytes:,} bytes of {most_bytes:,} at most"
        )
        name, count = self._largest()
        if count > 1:
            said = f"{said}: the variable {name!r} stands in it {count:,} times"
        raise Refusal(413, said, code="too_large")

    def _largest(self) -> tuple[str, int]:
        """The client's variable that takes most, and how often it stands there."""
        uses = self.prompt.uses()
        name = max(self.values, key=lambda each: uses[each] * len(self.values[each]), default="")
        return name, uses[name]

    def messages(self) -> list[dict[str, str]]:
        """Raises: UsageError for a variable that is missing or unknown."""
        return self.prompt.filled(self.values)

    def with_values(self, change: Callable[[str], str]) -> FilledPrompt:
        values = {name: change(value) for name, value in self.values.items()}
        return self._replace(values=values)
