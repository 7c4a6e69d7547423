"""Perplexity, KL divergence and agreement of quantized models against their Hugging Face base.

Each is loaded from disk as a user would load it, one at a time beside the base, so memory does not
grow with their number. Plain rounding of the base is measured the same way, as the least that a
method should beat.
Shapes: N scored tokens, V vocabulary.
"""

import math
import time
import traceback
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer

from _shared.calibration import chat_tokens
from _shared.pieces import Piece, pieces_of
from _shared.protocol import Events, Json, peak_rss_bytes, run_worker
from _shared.token_differences import differences_of
from hf.rounding import round_model
from hf.scorers import Ct2Scorer, HfScorer, Scorer
from hf.tokenized import begin_of, tokenized_texts

SAID_TOKENS = 12
"""Words that show what a model has become."""
MOST_OPENING = 16
BROKEN = (ValueError, RuntimeError, ImportError, KeyError, AttributeError, TypeError)
"""What libraries raise for a model that they wrote and cannot read."""


class BaseComparison:
    """Sums over the scored tokens of one model, against the base."""

    def __init__(self) -> None:
        self._loss = 0.0
        self._divergence = 0.0
        self._agreed = 0.0
        self._scored = 0
        self._known = 0.0
        self._vocabulary = 0

    def add(
        self,
        base_NV: torch.Tensor,
        other_NV: torch.Tensor,
        targets_N: torch.Tensor,
    ) -> None:
        """Log-probabilities of both, and the tokens that came."""
        columns_N1 = targets_N[:, None]
        chosen_N1 = other_NV.gather(1, columns_N1)
        self._loss -= float(chosen_N1.double().sum())
        self._scored += len(targets_N)
        self._vocabulary = base_NV.shape[1]
        if other_NV is base_NV:
            self._known += known_nats_of(base_NV)
            return
        vocabularies = (base_NV.shape[1], other_NV.shape[1])
        width = min(vocabularies)
        base_NV = base_NV[:, :width]
        other_NV = other_NV[:, :width]
        self._divergence += divergence_of(base_NV, other_NV)
        base_top_N = base_NV.argmax(1)
        agrees_N = other_NV.argmax(1) == base_top_N
        self._agreed += float(agrees_N.sum())

    def figures(self) -> dict[str, float]:
        scored = self._scored
        loss = self._loss / scored
        mean_loss = torch.tensor(loss, dtype=torch.float64)
        divergence = self._divergence / scored
        return {
            "perplexity": float(mean_loss.exp()),
            "kl_divergence": max(divergence, 0.0),
            "top1_agreement": self._agreed / scored,
            "tokens": scored,
            "known_nats": self._known / scored,
            "vocabulary": self._vocabulary,
        }


def known_nats_of(base_NV: torch.Tensor) -> float:
    """Sum over tokens of KL(base || a model that knows nothing)."""
    even_NV = torch.full_like(base_NV, -math.log(base_NV.shape[1]))
    return divergence_of(base_NV, even_NV)


def divergence_of(base_NV: torch.Tensor, other_NV: torch.Tensor) -> float:
    """Sum over tokens of KL(base || other); what the base rules out adds nothing."""
    terms_NV = base_NV.exp() * (base_NV - other_NV)
    terms_NV = terms_NV.where(base_NV > -math.inf, 0)
    return float(terms_NV.double().sum())


class Quality:
    """The base and its pieces of text; other models are compared one after the other."""

    def __init__(self, job: Json, events: Events) -> None:
        self._job = job
        self._events = events
        self._done = 0
        self._tokenizer: Any = AutoTokenizer.from_pretrained(job["base"], trust_remote_code=False)
        self._base = HfScorer.load(job["base"])
        self.pieces = self._read_pieces()
        models = len(job["models"])
        roundings = len(job["roundings"])
        runs = 1 + models + roundings
        self._total = len(self.pieces) * runs

    def _read_pieces(self) -> list[Piece]:
        config = self._base.model.config
        window = self._job["window"]
        longest = getattr(config, "max_position_embeddings", 0)
        if longest:
            window = min(window, int(longest))
        return pieces_of(
            Path(self._job["text"]),
            self._encode,
            render=self._render,
            bos=begin_of(self._tokenizer),
            window=window,
            limit=self._job["tokens"],
        )

    def _encode(self, text: str) -> list[int]:
        encoded = self._tokenizer(text, add_special_tokens=False)
        return list(encoded.input_ids)

    def _render(self, chat: list[Any]) -> list[int]:
        return chat_tokens(self._tokenizer, chat)

    def base(self) -> dict[str, float]:
        return self._compare(self._base)

    def rounding(self, how: Json) -> dict[str, float]:
        rounded = round_model(self._base.model, how)
        return self._compare(HfScorer(rounded))

    def model(self, entry: Json) -> Json:
        """The figures and some words of a model on disk, or its error."""
        try:
            other = self._load(entry)
            figures: Json = dict(self._compare(other))
            are_numbers = all(map(math.isfinite, figures.values()))
            if not are_numbers:
                raise ValueError("its probabilities are not numbers")
            opening = self._opening()
            said = other.say(opening, SAID_TOKENS)
            figures["says"] = self._tokenizer.decode(said)
            figures |= self._token_differences(entry)
        except BROKEN as error:
            traceback.print_exc()
            kind = type(error).__name__
            reason = str(error)[:300]
            return {"error": f"{kind}: {reason}"}
        return figures

    def _load(self, entry: Json) -> Scorer:
        if entry["format"] == "ct2":
            return Ct2Scorer(entry["path"], self._tokenizer, self._job["threads"])
        return HfScorer.load(entry["path"])

    def _token_differences(self, entry: Json) -> Json:
        """Of the folder's own tokenizer; CTranslate2's folders have none."""
        tokenizer = self._tokenizer
        if entry["format"] != "ct2":
            tokenizer = AutoTokenizer.from_pretrained(entry["path"], trust_remote_code=False)

        def cut(text: str) -> list[int]:
            return list(tokenizer(text).input_ids)

        return differences_of(tokenized_texts(self._tokenizer), cut)

    def _opening(self) -> list[int]:
        """The first tokens of the text, for the models to go on from."""
        tokens, _ = self.pieces[0]
        half = min(MOST_OPENING, len(tokens) // 2)
        return tokens[: max(2, half)]

    def _compare(self, other: Scorer) -> dict[str, float]:
        comparison = BaseComparison()
        for tokens, first in self.pieces:
            scored = slice(first, -1)
            base_NV = self._base.log_probs(tokens)[scored]
            other_NV = base_NV
            if other is not self._base:
                other_NV = other.log_probs(tokens)[scored]
            after = tokens[first + 1 :]
            targets_N = torch.tensor(after)
            comparison.add(base_NV, other_NV, targets_N)
            self._done += 1
            self._events.progress("quality", self._done, self._total, unit="pieces")
        return comparison.figures()


def work(job: Json, events: Events) -> Json:
    start_s = time.process_time()
    torch.set_num_threads(job["threads"])
    quality = Quality(job, events)
    base = quality.base()
    models = [quality.model(entry) for entry in job["models"]]
    roundings = [quality.rounding(how) for how in job["roundings"]]
    return {
        "base": base,
        "models": models,
        "roundings": roundings,
        "pieces": quality.pieces,
        "cpu_s": time.process_time() - start_s,
        "peak_rss_bytes": peak_rss_bytes(),
    }


if __name__ == "__main__":
    run_worker(work)
