"""A progress that keeps what it hears."""

from __future__ import annotations

from llmops_cli.core.progress import Silent


class Heard(Silent):
    """Warnings and sentences, in order."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.sentences: list[str] = []

    def say(self, text: str) -> None:
        self.sentences.append(text)

    def warn(self, text: str) -> None:
        self.warnings.append(text)
