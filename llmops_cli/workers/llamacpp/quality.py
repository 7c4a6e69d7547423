"""Perplexity of a base and of quantized GGUF models over one text, and the KL divergence between
them.

All models read the same piece before the next one, so memory does not grow with the text.
Shapes: N scored tokens, V vocabulary.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np

from _shared.calibration import pieces_of
from _shared.protocol import Events, JobError, run_worker
from llamacpp.library import LogCapture, load_model, logits_rows, tokenize

BATCH = 128


class Scorer:
    """One loaded model that returns log-probabilities for a window."""

    def __init__(self, path: str, *, window: int, threads: int, log: LogCapture) -> None:
        self.model = load_model(path, log)
        self.vocab = llama_cpp.llama_model_get_vocab(self.model)
        self.vocab_size = llama_cpp.llama_vocab_n_tokens(self.vocab)
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = window
        params.n_batch = BATCH
        params.n_ubatch = BATCH
        params.n_seq_max = 1
        params.n_threads = params.n_threads_batch = threads
        self.context = llama_cpp.llama_init_from_model(self.model, params)
        if not self.context:
            raise JobError(
                "EngineFailed", f"llama.cpp cannot make a context for {path}: {log.last()}"
            )
        self.batch = llama_cpp.llama_batch_init(BATCH, 0, 1)

    def log_probs(self, tokens: list[int], first_scored: int) -> Iterator[tuple[int, np.ndarray]]:
        """(position of the first row, log-probabilities of the next token, shape (rows, V)), in
        pieces.
        """
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self.context), False)
        for start in range(0, len(tokens), BATCH):
            part = tokens[start : start + BATCH]
            rows = 0
            for i, token in enumerate(part):
                batch = self.batch
                position = start + i
                batch.token[i], batch.pos[i], batch.n_seq_id[i] = token, position, 1
                batch.seq_id[i][0] = 0
                scored = first_scored <= position < len(tokens) - 1
                batch.logits[i] = scored
                rows += scored
            self.batch.n_tokens = len(part)
            if llama_cpp.llama_decode(self.context, self.batch) != 0:
                raise JobError("EngineFailed", "llama_decode failed while measuring quality")
            if rows:
                yield (
                    max(start, first_scored),
                    log_softmax(logits_rows(self.context, rows, self.vocab_size)),
                )


def log_softmax(logits_NV: np.ndarray) -> np.ndarray:
    logits_NV -= logits_NV.max(axis=1, keepdims=True)
    logits_NV -= np.log(np.exp(logits_NV).sum(axis=1, keepdims=True, dtype=np.float64)).astype(
        np.float32
    )
    return logits_NV


def work(job: dict[str, Any], events: Events) -> dict[str, Any]:
    log = LogCapture()
    start = time.process_time()
    paths = [job["base"], *job["models"]]
    header = load_model(job["base"], log)
    window = min(job["window"], llama_cpp.llama_model_n_ctx_train(header))
    llama_cpp.llama_model_free(header)
    scorers = [Scorer(path, window=window, threads=job["threads"], log=log) for path in paths]
    vocab = scorers[0].vocab
    pieces = pieces_of(
        Path(job["text"]),
        lambda text: tokenize(vocab, text.encode(), add_special=False, parse_special=True),
        bos=[llama_cpp.llama_vocab_bos(vocab)] if llama_cpp.llama_vocab_get_add_bos(vocab) else [],
        window=window,
        limit=job["tokens"],
    )
    loss = np.zeros(len(paths))
    divergence = np.zeros(len(paths))
    agreed = np.zeros(len(paths))
    scored = 0
    for done, (tokens, first_scored) in enumerate(pieces):
        for parts in zip(
            *(scorer.log_probs(tokens, first_scored) for scorer in scorers), strict=True
        ):
            position, base_NV = parts[0]
            rows = np.arange(len(base_NV))
            targets = np.array(tokens[position + 1 : position + 1 + len(base_NV)])
            base_probs_NV = np.exp(base_NV)
            base_top = base_NV.argmax(axis=1)
            for i, (_, logs_NV) in enumerate(parts):
                loss[i] -= logs_NV[rows, targets].sum(dtype=np.float64)
                divergence[i] += (base_probs_NV * (base_NV - logs_NV)).sum(dtype=np.float64)
                agreed[i] += (logs_NV.argmax(axis=1) == base_top).sum()
            scored += len(base_NV)
        events.progress("quality", done + 1, len(pieces), unit="pieces")
    return {
        "tokens": scored,
        "cpu_s": time.process_time() - start,
        "models": [
            {
                "path": path,
                "perplexity": float(np.exp(loss[i] / scored)),
                "kl_divergence": float(max(divergence[i] / scored, 0.0)),
                "top1_agreement": float(agreed[i] / scored),
            }
            for i, path in enumerate(paths)
        ],
    }


if __name__ == "__main__":
    run_worker(work)
