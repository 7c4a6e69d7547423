"""A held-out text in pieces of tokens, to judge models by."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from _shared.documents import holds_rows, rows_of
from _shared.protocol import JobError
from _shared.rows import text_of

TOKEN_BYTES = 64
"""More than tokens take on average in any text: what lies behind is not reached."""
Piece = tuple[list[int], int]
"""Tokens, and the first position whose prediction is scored."""
Encode = Callable[[str], list[int]]
Render = Callable[[list[Any]], list[int]]
"""A chat's messages to tokens, as the model's template writes them."""


def pieces_of(
    path: Path,
    encode: Encode,
    *,
    bos: list[int],
    window: int,
    limit: int,
    render: Render | None = None,
) -> list[Piece]:
    """The documents or windows of a text, up to `limit` tokens in all.

    Plain text as llama.cpp's perplexity tool reads it: whole windows, scored on their second half.
    A document of a .jsonl or .parquet file is scored from its first token on.
    Raises: JobError for a text that is too short, or chats without `render`.
    """
    if holds_rows(path):
        found = _documents(path, encode, bos=bos, window=window, limit=limit, render=render)
    else:
        text = text_of(path, most_bytes=limit * TOKEN_BYTES)
        tokens = encode(text)
        found = _windows(tokens, bos=bos, window=window, limit=limit)
    if not found:
        raise JobError(
            "UsageError",
            f"{path} is too short: one piece needs {window} tokens",
            "pass a longer --eval-text",
        )
    return found


def _documents(
    path: Path,
    encode: Encode,
    *,
    bos: list[int],
    window: int,
    limit: int,
    render: Render | None,
) -> list[Piece]:
    found: list[Piece] = []
    total = 0
    for row in rows_of(path):
        if isinstance(row, str):
            tokens = encode(row)
        elif render is not None:
            tokens = render(row)
        else:
            hint = 'lines of {"text": ...} judge GGUF files'
            raise JobError("UsageError", f"{path} holds chats", hint)
        if tokens[:1] != bos[:1]:
            tokens = bos + tokens
        tokens = tokens[:window]
        total += len(tokens)
        if total > limit:
            break
        if len(tokens) > 1:
            found.append((tokens, 0))
    return found


def _windows(
    tokens: list[int],
    *,
    bos: list[int],
    window: int,
    limit: int,
) -> list[Piece]:
    step = window - len(bos)
    last_start = min(len(tokens), limit) - step
    half = window // 2
    found = []
    for start in range(0, last_start + 1, step):
        part = tokens[start : start + step]
        found.append((bos + part, half))
    return found
