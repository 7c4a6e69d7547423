"""Perplexity of a base and of quantized GGUF models over one text, and their KL divergence.

The base is the original model in Transformers, or a GGUF file where there is no original. All
models read the same piece before the next one, so memory does not grow with the text.
Shapes: N scored tokens, V vocabulary.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import llama_cpp
import numpy as np

from _shared.arrays import Floats
from _shared.pieces import Piece, pieces_of
from _shared.protocol import Events, Json, run_worker
from llamacpp.library import load_model, tokenize
from llamacpp.log import LogCapture
from llamacpp.original_rows import OriginalPiece, OriginalRows
from llamacpp.scorer import BATCH, TextScorer

ScoredRows = tuple[int, Floats]
"""A position, and logs_NV of the next token there and after it."""


class GgufScorer:
    """One loaded model that returns log-probabilities for a window."""

    def __init__(
        self,
        path: str,
        *,
        window: int,
        threads: int,
        log: LogCapture,
        repacks: bool = True,
    ) -> None:
        model = load_model(path, log, repacks=repacks)
        self._scorer = TextScorer(model, window=window, threads=threads, log=log)
        self.vocab = self._scorer.vocab

    def log_probs(self, tokens: list[int], first_scored: int) -> Iterator[ScoredRows]:
        """From `first_scored` on, in pieces of a batch."""
        scored = range(first_scored, len(tokens) - 1)
        for done, logits_NV in self._scorer.logits(tokens, scored):
            yield first_scored + done, log_softmax(logits_NV)


def log_softmax(logits_NV: Floats) -> Floats:
    """In place."""
    logits_NV -= logits_NV.max(axis=1, keepdims=True)
    exps_NV = np.exp(logits_NV)
    sums_N1 = exps_NV.sum(axis=1, keepdims=True, dtype=np.float64)
    norms_N1 = np.log(sums_N1)
    logits_NV -= norms_N1.astype(np.float32)
    return logits_NV


class BaseRows:
    """What the base says of some tokens, computed once for all models."""

    def __init__(self, logs_NV: Floats, tokens: list[int]) -> None:
        self.logs_NV = logs_NV
        self.probs_NV = np.exp(logs_NV)
        self.top_N = logs_NV.argmax(axis=1)
        self.rows_N = np.arange(len(logs_NV))
        self.targets_N = np.array(tokens)


class QualitySums:
    """Sums over the scored tokens of one model, against the base."""

    def __init__(self) -> None:
        self._loss = 0.0
        self._divergence = 0.0
        self._agreed = 0
        self._vocabulary = 0

    def add(self, base: BaseRows, logs_NV: Floats) -> None:
        """The same tokens as this model sees them."""
        self._vocabulary = logs_NV.shape[1]
        chosen_N = logs_NV[base.rows_N, base.targets_N]
        self._loss -= chosen_N.sum(dtype=np.float64)
        terms_NV = base.probs_NV * (base.logs_NV - logs_NV)
        self._divergence += terms_NV.sum(dtype=np.float64)
        top_N = logs_NV.argmax(axis=1)
        agrees_N = top_N == base.top_N
        self._agreed += int(agrees_N.sum())

    def figures(self, path: str, scored: int) -> Json:
        mean_loss = self._loss / scored
        divergence = self._divergence / scored
        agreement = self._agreed / scored
        return {
            "path": path,
            "perplexity": float(np.exp(mean_loss)),
            "kl_divergence": float(max(divergence, 0.0)),
            "top1_agreement": float(agreement),
            "vocabulary": self._vocabulary,
        }


class Base(Protocol):
    """What others are compared with: pieces of the text, and what it says of each."""

    count: int

    def __iter__(self) -> Iterator[tuple[Piece, Iterator[ScoredRows]]]:
        """Once."""


class GgufBase:
    """A GGUF file as the base; it cuts the text too."""

    def __init__(self, scorer: GgufScorer, job: Json, window: int) -> None:
        self._scorer = scorer
        self._pieces = read_pieces(job, scorer.vocab, window)
        self.count = len(self._pieces)

    def __iter__(self) -> Iterator[tuple[Piece, Iterator[ScoredRows]]]:
        for piece in self._pieces:
            yield piece, self._scorer.log_probs(*piece)


class OriginalBase:
    """The original model in Transformers as the base."""

    def __init__(self, job: Json, window: int) -> None:
        self._rows = OriginalRows({**job, "window": window})
        self.count = self._rows.count

    def __iter__(self) -> Iterator[tuple[Piece, Iterator[ScoredRows]]]:
        for found in self._rows:
            yield found.piece, in_batches(found)


def in_batches(found: OriginalPiece) -> Iterator[ScoredRows]:
    """As `GgufScorer.log_probs` gives them."""
    tokens, first_scored = found.piece
    last = len(tokens) - 1
    for start in range(0, len(tokens), BATCH):
        first = max(start, first_scored)
        stop = min(start + BATCH, last)
        if first < stop:
            logits_NV = found.logits_NV[first - first_scored : stop - first_scored]
            yield first, log_softmax(logits_NV.copy())


def score(
    piece: Piece,
    base: Iterator[ScoredRows],
    scorers: list[GgufScorer],
    sums: list[QualitySums],
) -> int:
    """Adds one piece to the sums of the base and of every model; the number of scored tokens."""
    tokens, first_scored = piece
    streams = [scorer.log_probs(tokens, first_scored) for scorer in scorers]
    scored = 0
    for rows in zip(base, *streams, strict=True):
        position, base_NV = rows[0]
        count = len(base_NV)
        width = min(logs_NV.shape[1] for _, logs_NV in rows)  # some pad their vocabulary
        after = position + 1
        targets = tokens[after : after + count]
        of_base = BaseRows(base_NV[:, :width], targets)
        for model, (_, logs_NV) in zip(sums, rows, strict=True):
            model.add(of_base, logs_NV[:, :width])
        scored += count
    return scored


def read_pieces(
    job: Json,
    vocab: object,
    window: int,
) -> list[Piece]:
    """The held-out text as the base's vocabulary reads it."""

    def encode(text: str) -> list[int]:
        raw = text.encode()
        return tokenize(vocab, raw, add_special=False, parse_special=True)

    bos = []
    if llama_cpp.llama_vocab_get_add_bos(vocab):
        bos.append(llama_cpp.llama_vocab_bos(vocab))
    text = Path(job["text"])
    return pieces_of(text, encode, bos=bos, window=window, limit=job["tokens"])


def trained_context(path: str, log: LogCapture) -> int:
    model = load_model(path, log)
    context = int(llama_cpp.llama_model_n_ctx_train(model))
    llama_cpp.llama_model_free(model)
    return context


def base_of(
    job: Json,
    window: int,
    log: LogCapture,
) -> Base:
    if job.get("original"):
        return OriginalBase(job, window)
    scorer = GgufScorer(job["base"], window=window, threads=job["threads"], log=log)
    return GgufBase(scorer, job, window)


def work(job: Json, events: Events) -> Json:
    start_s = time.process_time()
    log = LogCapture()
    paths = job["models"]
    window = min(job["window"], trained_context(job["base"], log))
    base = base_of(job, window, log)
    scorers = []
    for path in paths:
        scorer = GgufScorer(path, window=window, threads=job["threads"], log=log)
        scorers.append(scorer)
    names = [job["base"], *paths]
    sums = [QualitySums() for _ in names]
    scored = 0
    for done, (piece, rows) in enumerate(base, 1):
        scored += score(piece, rows, scorers, sums)
        events.progress("quality", done, base.count, unit="pieces")
    figures = []
    for name, model in zip(names, sums, strict=True):
        of_model = model.figures(name, scored)
        figures.append(of_model)
    return {
        "tokens": scored,
        "cpu_s": time.process_time() - start_s,
        "models": figures,
    }


if __name__ == "__main__":
    run_worker(work)
