"""Calibration samples: documents as tokens, packed into windows.

Nothing is dropped silently: `Calibration.unused_tokens` says how much text was left over when
enough samples were made.
"""

import hashlib
import json
import random
from pathlib import Path
from typing import Any

from _shared.documents import rows_of
from _shared.protocol import JobError

LEAST_TOKENS = 16
"""A shorter last window is left out."""


class Calibration:
    """Windows of token ids, and what they were made from."""

    def __init__(
        self,
        windows: list[list[int]],
        *,
        documents: int,
        unused_tokens: int,
        wanted_tokens: int,
    ) -> None:
        self.wanted_tokens = wanted_tokens
        self.windows = windows
        self.documents = documents
        self.unused_tokens = unused_tokens

    def keep_whole(self, length: int) -> None:
        """Only windows of `length` tokens; the rest counts as unused."""
        whole = [window for window in self.windows if len(window) >= length]
        all_tokens = count_tokens(self.windows)
        self.unused_tokens += all_tokens - count_tokens(whole)
        self.windows = whole

    @property
    def digest(self) -> str:
        return digest_of(self.windows)

    def facts(self) -> dict[str, Any]:
        return {
            "digest": self.digest,
            "samples": len(self.windows),
            "tokens": count_tokens(self.windows),
            "documents": self.documents,
            "unused_tokens": self.unused_tokens,
            "wanted_tokens": self.wanted_tokens,
        }


def count_tokens(windows: list[list[int]]) -> int:
    return sum(len(window) for window in windows)


def digest_of(windows: list[list[int]]) -> str:
    text = json.dumps(windows, separators=(",", ":"))
    digest = hashlib.sha256(text.encode())
    return f"sha256:{digest.hexdigest()}"


def calibration_of(
    tokenizer: Any,
    path: Path,
    *,
    samples: int,
    seq_len: int,
    seed: int,
) -> Calibration:
    """Documents in a random order (by seed), one after the other, cut every `seq_len` tokens.

    Raises: JobError for a file that cannot be read, or with too little text.
    """
    try:
        documents = list(rows_of(path))
    except OSError as error:
        message = f"{path} cannot be read as calibration data: {error}"
        raise JobError("UsageError", message) from error
    rng = random.Random(seed)
    rng.shuffle(documents)
    stream = tokens_of(tokenizer, documents)
    starts = range(0, len(stream), seq_len)
    windows = [stream[start : start + seq_len] for start in starts]
    least = min(LEAST_TOKENS, seq_len)
    if windows:
        last = windows[-1]
        if len(last) < least:
            windows.pop()
    if not windows:
        raise JobError(
            "UsageError",
            f"{path} has too little text: {len(stream)} tokens",
            "pass a longer --calibration",
        )
    kept = windows[:samples]
    unused_tokens = len(stream) - count_tokens(kept)
    return Calibration(
        kept,
        documents=len(documents),
        unused_tokens=unused_tokens,
        wanted_tokens=samples * seq_len,
    )


def tokens_of(tokenizer: Any, documents: list[Any]) -> list[int]:
    """All documents as one stream, texts with an end between them, chats as their template has."""
    end = []
    has_end = tokenizer.eos_token_id is not None
    if has_end and len(documents) > 1:
        end.append(tokenizer.eos_token_id)
    stream: list[int] = []
    for document in documents:
        if isinstance(document, str):
            encoded = tokenizer(document, add_special_tokens=False)
            stream += encoded.input_ids
            stream += end
        else:
            stream += chat_tokens(tokenizer, document)
    return stream


def chat_tokens(tokenizer: Any, messages: list[Any]) -> list[int]:
    """A chat as the model's template writes it. Raises: JobError where there is none."""
    if not getattr(tokenizer, "chat_template", None):
        raise JobError(
            "UsageError",
            "the text holds chats, and this model has no chat template",
            'lines of {"text": ...}, or a plain text',
        )
    return list(tokenizer.apply_chat_template(messages, tokenize=True, return_dict=False))
