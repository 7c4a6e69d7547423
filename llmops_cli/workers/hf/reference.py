"""Keeps what an original model says of a real text, and how its tokenizer cuts many texts.

The text's length is chosen by the model's size, so that the cost stays within seconds. Where it is
shorter than the model's sliding window, a second passage is read through a narrow one.
"""

import time
from pathlib import Path

import numpy as np
import torch
import transformers

from _shared.protocol import Events, JobError, Json, peak_rss_bytes, run_worker
from _shared.reference import Passage, Reference, write_logits, write_reference
from _shared.token_texts import TOKEN_TEXTS
from hf.original import Original
from hf.refusals import REFUSALS
from hf.tokenized import begin_of, says_what_it_adds, tokenized_texts

WORK = 5e10
"""Parameters times tokens: some seconds of a processor."""
LEAST_TOKENS = 96
MOST_TOKENS = 1024
LEAST_ROWS = 48
MOST_ROWS = 256
LOGITS_BYTES = 64 << 20
"""Of one passage, on disk and in memory."""
NARROW_WINDOW = 16
NARROW_TOKENS = 96
ENGLISH_SHARE = 0.75
"""Of the tokens; the rest are of other scripts, code and emoji."""


def tokens_to_read(parameters: int, context: int | None) -> int:
    by_work = int(WORK / max(parameters, 1))
    wanted = min(max(by_work, LEAST_TOKENS), MOST_TOKENS)
    return min(wanted, context or wanted)


def spread_positions(tokens: int, vocabulary: int) -> list[int]:
    """Positions that are compared: all, or as many as fit, evenly, with the first and the last."""
    fitting = LOGITS_BYTES // (4 * vocabulary)
    count = min(max(fitting, LEAST_ROWS), MOST_ROWS, tokens)
    if count == 1:
        return [tokens - 1]
    step = (tokens - 1) / (count - 1)
    return sorted({round(place * step) for place in range(count)})


def mixed_text(original: Original, path: Path, count: int) -> list[int]:
    """`count` tokens: mostly the file's, then of the texts that tokenizers are tried on."""
    begin = begin_of(original.tokenizer)
    english = original.encode(path.read_text(encoding="utf-8"))
    others = original.encode("\n".join(TOKEN_TEXTS))
    most = int(count * ENGLISH_SHARE)
    tokens = begin + english[: most - len(begin)]
    tokens += others[: count - len(tokens)]
    if len(tokens) < 2:
        raise JobError("UsageError", f"{path} is too short for the check")
    return tokens


def passages_of(original: Original, tokens: list[int]) -> list[tuple[list[int], int | None]]:
    """Tokens and the window that the model reads them through; None: its own."""
    found: list[tuple[list[int], int | None]] = [(tokens, None)]
    window = original.window
    if window is not None and len(tokens) < 2 * window:
        found.append((tokens[:NARROW_TOKENS], NARROW_WINDOW))
    return found


def work(job: Json, events: Events) -> Json:
    start_s = time.process_time()
    torch.set_num_threads(job["threads"])
    events.progress("reading the original", 0, 1)
    original = Original(job["model"])
    width = int(original.model.get_output_embeddings().weight.shape[0])
    count = tokens_to_read(original.parameters, original.steady_context)
    window = original.window
    folder = Path(job["output"])
    folder.mkdir(parents=True)
    passages = []
    texts = mixed_text(original, Path(job["text"]), count)
    for number, (tokens, narrow) in enumerate(passages_of(original, texts)):
        positions = spread_positions(len(tokens), width)
        if narrow is not None:
            original.set_window(narrow)
        try:
            logits_NV = original.logits(tokens, positions)
        except REFUSALS as error:
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            raise JobError(
                "EngineFailed", f"Transformers cannot compute {job['model']}: {reason[:300]}"
            ) from error
        if not np.isfinite(logits_NV).all():
            raise JobError("UsageError", f"what {job['model']} says is no number")
        write_logits(folder, number, logits_NV)
        passages.append(Passage(tokens, positions, logits_NV.shape[1], narrow))
        events.progress("reading the original", number + 1, 2)
    adds_special = says_what_it_adds(Path(job["model"]))
    facts = {
        "transformers": transformers.__version__,
        "parameters": original.parameters,
        "adds_special": adds_special,
    }
    tokenized = tokenized_texts(original.tokenizer, adds_special=adds_special)
    write_reference(folder, Reference(passages, tokenized, window, facts))
    return {
        "tokens": len(texts),
        "cpu_s": time.process_time() - start_s,
        "peak_rss_bytes": peak_rss_bytes(),
    }


if __name__ == "__main__":
    run_worker(work)
