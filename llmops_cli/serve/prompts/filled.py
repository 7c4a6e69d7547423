"""A prompt in a request with the values that the client gives: its messages can be made anew."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from llmops_cli.prompt_file.prompt import Prompt


class FilledPrompt(NamedTuple):
    """`values`: the client's own. The prompt's messages are the first of the request's."""

    prompt: Prompt
    values: Mapping[str, str]

    @property
    def length(self) -> int:
        """Of its messages."""
        return len(self.prompt.messages)

    def messages(self) -> list[dict[str, str]]:
        """Raises: UsageError for a variable that is missing or unknown."""
        return self.prompt.filled(self.values)

    def with_values(self, change: Callable[[str], str]) -> FilledPrompt:
        values = {name: change(value) for name, value in self.values.items()}
        return self._replace(values=values)
