"""Sends what an original model says of a held-out text, piece by piece, to who compares with it.

`llamacpp.original_rows` starts this in a Python that has Transformers, and reads the pipe.
"""

import json
import os
from pathlib import Path
from typing import IO, Any

import torch

from _shared.calibration import chat_tokens
from _shared.pieces import Piece, pieces_of
from _shared.protocol import Events, Json, run_worker
from hf.original import Original
from hf.tokenized import begin_of


def work(job: Json, _events: Events) -> Json:
    torch.set_num_threads(job["threads"])
    original = Original(job["original"])
    pieces = read_pieces(original, job)
    with os.fdopen(job["pipe"], "wb") as pipe:
        send_line(pipe, {"pieces": len(pieces)})
        for tokens, first in pieces:
            positions = list(range(first, len(tokens) - 1))
            logits_NV = original.logits(tokens, positions)
            rows, width = logits_NV.shape
            send_line(pipe, {"tokens": tokens, "first": first, "rows": rows, "width": width})
            pipe.write(logits_NV.tobytes())
            pipe.flush()
    return {}


def send_line(pipe: IO[bytes], facts: Json) -> None:
    line = json.dumps(facts) + "\n"
    pipe.write(line.encode())


def read_pieces(original: Original, job: Json) -> list[Piece]:
    def render(chat: list[Any]) -> list[int]:
        return chat_tokens(original.tokenizer, chat)

    return pieces_of(
        Path(job["text"]),
        original.encode,
        render=render,
        bos=begin_of(original.tokenizer),
        window=min(job["window"], original.context or job["window"]),
        limit=job["tokens"],
    )


if __name__ == "__main__":
    run_worker(work)
