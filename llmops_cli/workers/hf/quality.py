"""Perplexity, KL divergence and agreement of quantized models against their Hugging Face base, and
a few words.

Each is loaded from disk as a user would load it, one at a time beside the base, so memory does not
grow with their number. Plain rounding of the base is measured the same way, as the least that a
method should beat.
Shapes: N scored tokens, V vocabulary, O rows and I columns of a weight.
"""

import copy
import math
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from _shared.calibration import pieces_of
from _shared.protocol import Events, peak_rss_bytes, run_worker

WORDS = 12


class Scorer(Protocol):
    def log_probs(self, tokens: list[int]) -> torch.Tensor:
        """Log-probabilities of the next token after each one, shape (len(tokens), V), float32."""

    def say(self, tokens: list[int], count: int) -> list[int]:
        """The next tokens, greedily."""


class HfScorer:
    def __init__(self, model: Any) -> None:
        self.model = model.eval()

    @classmethod
    def load(cls, path: str) -> "HfScorer":
        model = AutoModelForCausalLM.from_pretrained(path, dtype="auto", trust_remote_code=False)
        return cls(
            model.to("cuda") if torch.cuda.is_available() and model.device.type == "cpu" else model
        )

    @torch.inference_mode()
    def log_probs(self, tokens: list[int]) -> torch.Tensor:
        logits = self.model(torch.tensor([tokens], device=self.model.device)).logits[0]
        return logits.float().log_softmax(-1).cpu()

    @torch.inference_mode()
    def say(self, tokens: list[int], count: int) -> list[int]:
        prompt = torch.tensor([tokens], device=self.model.device)
        out = self.model.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            max_new_tokens=count,
            do_sample=False,
            use_cache=True,
            pad_token_id=0,
        )
        return list(out[0, len(tokens) :].tolist())


class Ct2Scorer:
    def __init__(self, path: str, tokenizer: Any, threads: int) -> None:
        import ctranslate2

        self._generator = ctranslate2.Generator(path, intra_threads=threads)
        self._tokenizer = tokenizer

    def log_probs(self, tokens: list[int]) -> torch.Tensor:
        import numpy as np

        view = self._generator.forward_batch(
            [self._tokenizer.convert_ids_to_tokens(tokens)], return_log_probs=True
        )
        return torch.from_numpy(np.array(view)[0].astype(np.float32))

    def say(self, tokens: list[int], count: int) -> list[int]:
        (result,) = self._generator.generate_batch(
            [self._tokenizer.convert_ids_to_tokens(tokens)],
            max_length=count,
            sampling_topk=1,
            include_prompt_in_result=False,
        )
        return list(result.sequences_ids[0])


def rounded(
    weight_OI: torch.Tensor, *, bits: int, group_size: int, symmetric: bool
) -> torch.Tensor:
    """The weight rounded to the nearest of 2^bits values, per group of columns (whole rows if it is
    not positive).
    """
    shape = weight_OI.shape
    columns = weight_OI.shape[1]
    group = group_size if 0 < group_size <= columns and columns % group_size == 0 else columns
    w = weight_OI.float().reshape(-1, group)
    levels = 2**bits
    if symmetric:
        scale = w.abs().amax(1, keepdim=True).clamp(min=1e-12) / ((levels - 1) / 2)
        w = (w / scale).round().clamp(-levels // 2, levels // 2 - 1) * scale
    else:
        low = w.amin(1, keepdim=True).clamp(max=0)
        high = w.amax(1, keepdim=True).clamp(min=0)
        scale = (high - low).clamp(min=1e-12) / (levels - 1)
        zero = (-low / scale).round()
        w = ((w / scale + zero).round().clamp(0, levels - 1) - zero) * scale
    return w.reshape(shape).to(weight_OI.dtype)


def round_model(base: Any, how: dict[str, Any]) -> HfScorer:
    model = copy.deepcopy(base)
    for name, module in model.named_modules():
        kept = any(
            re.search(s[3:], name) if s.startswith("re:") else name.endswith(s)
            for s in how["ignore"]
        )
        if isinstance(module, torch.nn.Linear) and not kept:
            module.weight.data = rounded(
                module.weight.data,
                bits=how["bits"],
                group_size=how["group_size"],
                symmetric=how["symmetric"],
            )
    return HfScorer(model)


def begin_of(tokenizer: Any) -> list[int]:
    """The token that the tokenizer puts before a text, whichever of its parts does that."""
    first = tokenizer("a").input_ids[:1]
    return list(first) if first == [tokenizer.bos_token_id] else []


def compare(
    base: Scorer, other: Scorer | None, pieces: list[tuple[list[int], int]], tick: Iterator[None]
) -> dict[str, float]:
    """`other` against `base` over the pieces; the base alone if there is no other."""
    loss = divergence = agreed = 0.0
    scored = 0
    for tokens, first in pieces:
        base_NV = base.log_probs(tokens)[first:-1]
        other_NV = base_NV if other is None else other.log_probs(tokens)[first:-1]
        width = min(base_NV.shape[1], other_NV.shape[1])
        base_NV = base_NV[:, :width]
        other_NV = other_NV[:, :width]
        targets = torch.tensor(tokens[first + 1 :])
        loss -= float(other_NV.gather(1, targets[:, None]).double().sum())
        if other is not None:
            possible = base_NV > -math.inf
            divergence += float(
                (base_NV.exp() * (base_NV - other_NV)).where(possible, 0).double().sum()
            )
            agreed += float((base_NV.argmax(1) == other_NV.argmax(1)).sum())
        scored += len(targets)
        next(tick, None)
    perplexity = float(torch.tensor(loss / scored, dtype=torch.float64).exp())
    return {
        "perplexity": perplexity,
        "kl_divergence": max(divergence / scored, 0.0),
        "top1_agreement": agreed / scored,
        "tokens": scored,
    }


def work(job: dict[str, Any], events: Events) -> dict[str, Any]:
    start = time.process_time()
    torch.set_num_threads(job["threads"])
    tokenizer: Any = AutoTokenizer.from_pretrained(job["base"], trust_remote_code=False)
    base = HfScorer.load(job["base"])
    window = min(
        job["window"],
        int(getattr(base.model.config, "max_position_embeddings", 0) or job["window"]),
    )
    pieces = pieces_of(
        Path(job["text"]),
        lambda text: list(tokenizer(text, add_special_tokens=False).input_ids),
        render=lambda chat: list(tokenizer.apply_chat_template(chat, return_dict=False)),
        bos=begin_of(tokenizer),
        window=window,
        limit=job["tokens"],
    )
    total = len(pieces) * (1 + len(job["models"]) + len(job["roundings"]))

    def ticks() -> Iterator[None]:
        for done in range(1, total + 1):
            events.progress("quality", done, total, unit="pieces")
            yield

    tick = ticks()
    found: dict[str, Any] = {
        "base": compare(base, None, pieces, tick),
        "models": [],
        "roundings": [],
        "pieces": pieces,
    }
    opening = pieces[0][0][: max(2, min(16, len(pieces[0][0]) // 2))]
    for entry in job["models"]:
        try:
            other: Scorer = (
                Ct2Scorer(entry["path"], tokenizer, job["threads"])
                if entry["format"] == "ct2"
                else HfScorer.load(entry["path"])
            )
            figures: dict[str, Any] = compare(base, other, pieces, tick)
            if not all(math.isfinite(value) for value in figures.values()):
                raise ValueError("its probabilities are not numbers")
            figures["says"] = tokenizer.decode(other.say(opening, WORDS))
        except (
            ValueError,
            RuntimeError,
            ImportError,
            KeyError,
            AttributeError,
            TypeError,
        ) as error:
            import traceback

            traceback.print_exc()
            figures = {"error": f"{type(error).__name__}: {str(error)[:300]}"}
        found["models"].append(figures)
        other = None  # type: ignore[assignment]
    for how in job["roundings"]:
        found["roundings"].append(compare(base, round_model(base.model, how), pieces, tick))
    return {**found, "cpu_s": time.process_time() - start, "peak_rss_bytes": peak_rss_bytes()}


if __name__ == "__main__":
    run_worker(work)
