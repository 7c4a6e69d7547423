"""What of a request is not sent on, for the answer's `x-llmops-unsent`."""

from __future__ import annotations

from llmops_cli.serve.refusal import Headers

HEADER = b"x-llmops-unsent"
NAME_CHARS = 64
NAMES_MOST = 24
MARKS = "._-"


class Unsent:
    """What of one request is not sent on: names, each once."""

    def __init__(self) -> None:
        self._names: dict[str, None] = {}

    def add(self, name: str) -> None:
        """A client may have made it up: it goes into a header."""
        shown = "".join(
            each for each in name if each.isascii() and (each.isalnum() or each in "._-")
        )
        if len(self._names) < NAMES_MOST:
            self._names.setdefault(shown[:NAME_CHARS] or "?")

    def header(self) -> bytes:
        return ", ".join(self._names).encode()


def _is_shown(char: str) -> bool:
    return char.isascii() and (char.isalnum() or char in MARKS)


def headers_of(*names: bytes) -> Headers:
    """None where there is nothing to tell."""
    told = [name for name in names if name]
    return [(HEADER, b", ".join(told))] if told else []
