"""Commands and paths in messages, as somebody can paste them into a shell."""

from __future__ import annotations

import shlex


def call(*words: object) -> str:
    """`llmops report compare before 'my run'`."""
    return shlex.join(("llmops", *map(str, words)))


def pasted(path: object) -> str:
    """A path or name, in quotation marks where a shell would cut it."""
    return shlex.quote(str(path))
