"""Texts as tokens: calibration samples packed into windows, or the model's own words; held-out
pieces that judge.

Nothing is dropped silently: `Calibration.unused_tokens` says how much text was left over when
enough samples were made.
"""

import hashlib
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from _shared.protocol import JobError

SPEAKERS = {"human": "user", "gpt": "assistant"}
"""ShareGPT's names."""
LEAST = 16
"""Tokens: a shorter last window is left out."""


class Calibration:
    """Windows of token ids, and what they were made from."""

    def __init__(self, windows: list[list[int]], *, documents: int, unused_tokens: int) -> None:
        self.windows = windows
        self.documents = documents
        self.unused_tokens = unused_tokens

    def keep_whole(self, length: int) -> None:
        """Only windows of `length` tokens; the rest counts as unused."""
        short = [window for window in self.windows if len(window) < length]
        self.windows = [window for window in self.windows if len(window) >= length]
        self.unused_tokens += sum(map(len, short))

    @property
    def digest(self) -> str:
        return digest_of(self.windows)

    def facts(self) -> dict[str, Any]:
        return {
            "digest": self.digest,
            "samples": len(self.windows),
            "tokens": sum(map(len, self.windows)),
            "documents": self.documents,
            "unused_tokens": self.unused_tokens,
        }


def digest_of(windows: list[list[int]]) -> str:
    return (
        "sha256:" + hashlib.sha256(json.dumps(windows, separators=(",", ":")).encode()).hexdigest()
    )


def rows_of(path: Path) -> Iterator[Any]:
    """Each document: a string, or a list of chat messages."""
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        rows: Iterator[Any] = iter(pq.read_table(path).to_pylist())
    elif path.suffix in (".jsonl", ".json"):
        text = path.read_text(encoding="utf-8")
        whole = path.suffix == ".json" and text.lstrip().startswith("[")
        rows = (
            iter(json.loads(text))
            if whole
            else (json.loads(line) for line in text.splitlines() if line.strip())
        )
    else:
        yield path.read_text(encoding="utf-8", errors="replace")
        return
    for number, row in enumerate(rows, 1):
        keys = ("text", "messages", "conversations", "prompt", "content")
        found = (
            row if isinstance(row, str) else next((row[key] for key in keys if key in row), None)
        )
        if isinstance(found, list):
            found = [
                {"role": SPEAKERS.get(turn["from"], turn["from"]), "content": turn["value"]}
                if "from" in turn
                else turn
                for turn in found
            ]
        if found in ("", []):
            continue
        if found is None:
            raise JobError(
                "UsageError",
                f"{path}, row {number} has neither text nor messages",
                "one of text, messages, prompt",
            )
        yield found


def calibration_of(
    tokenizer: Any, path: Path, *, samples: int, seq_len: int, seed: int
) -> Calibration:
    """Documents in a random order (by seed), one after the other, cut every `seq_len` tokens."""
    try:
        documents = list(rows_of(path))
    except (ValueError, OSError) as error:
        raise JobError(
            "UsageError", f"{path} cannot be read as calibration data: {error}"
        ) from error
    random.Random(seed).shuffle(documents)
    end = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    stream: list[int] = []
    for document in documents:
        if isinstance(document, str):
            stream += tokenizer(document, add_special_tokens=False).input_ids + (
                end if len(documents) > 1 else []
            )
        else:
            stream += tokenizer.apply_chat_template(document, tokenize=True, return_dict=False)
    windows = [stream[start : start + seq_len] for start in range(0, len(stream), seq_len)]
    if windows and len(windows[-1]) < min(LEAST, seq_len):
        windows.pop()
    if not windows:
        raise JobError(
            "UsageError",
            f"{path} has too little text: {len(stream)} tokens",
            "pass a longer --calibration",
        )
    kept = windows[:samples]
    return Calibration(
        kept, documents=len(documents), unused_tokens=len(stream) - sum(map(len, kept))
    )


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
) -> list[tuple[list[int], int]]:
    """(tokens, first scored position) of each document or window of a text, up to `limit` tokens in
    all.

    Plain text as llama.cpp's perplexity tool reads it: whole windows, scored on their second half.
    A document of a .jsonl or .parquet file is scored from its first token on.
    """

    def tokens_of(row: Any) -> list[int]:
        if isinstance(row, str):
            tokens = encode(row)
        elif render is None:
            raise JobError(
                "UsageError", f"{path} holds chats", 'lines of {"text": ...} judge GGUF files'
            )
        else:
            tokens = render(row)
        return (tokens if tokens[:1] == bos[:1] else bos + tokens)[:window]

    found: list[tuple[list[int], int]] = []
    if path.suffix in (".jsonl", ".json", ".parquet"):
        total = 0
        for row in rows_of(path):
            tokens = tokens_of(row)
            if total + len(tokens) > limit:
                break
            total += len(tokens)
            if len(tokens) > 1:
                found.append((tokens, 0))
    else:
        tokens = encode(path.read_text(encoding="utf-8", errors="replace"))
        step = window - len(bos)
        starts = range(0, min(len(tokens), limit) - step + 1, step)
        found = [(bos + tokens[start : start + step], window // 2) for start in starts]
    if not found:
        raise JobError(
            "UsageError",
            f"{path} is too short: one piece needs {window} tokens",
            "pass a longer --eval-text",
        )
    return found


def generated(model: Any, tokenizer: Any, *, samples: int, seq_len: int, seed: int) -> Calibration:
    """What the model says when nothing is asked, at temperature 1."""
    import torch

    torch.manual_seed(seed)
    ids = [i for i in range(len(tokenizer)) if i not in tokenizer.all_special_ids]
    starts = random.Random(seed).choices(ids, k=samples)
    windows: list[list[int]] = []
    for first in range(0, samples, 8):
        batch = torch.tensor([[start] for start in starts[first : first + 8]], device=model.device)
        out = model.generate(
            batch,
            attention_mask=torch.ones_like(batch),
            max_new_tokens=seq_len - 1,
            min_new_tokens=seq_len - 1,
            do_sample=True,
            temperature=1.0,
            use_cache=True,
            pad_token_id=0,
        )
        windows += out.tolist()
    return Calibration(windows, documents=samples, unused_tokens=0)
