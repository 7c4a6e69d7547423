"""Picks the next token from one row of logits, by llama.cpp's own samplers.

Shapes: V vocabulary.
"""

import ctypes
import random

import llama_cpp
import msgspec
import numpy as np

from llamacpp.server.binding import Llama, chain, grammar_sampler

CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])


class SamplingParams(msgspec.Struct, frozen=True, kw_only=True):
    """OpenAI's and llama.cpp's names. `top_logprobs` -1 means no log-probabilities at all."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0
    seed: int | None = None
    logit_bias: dict[int, float] = {}
    ignore_eos: bool = False
    grammar: str | None = None
    top_logprobs: int = -1


class TokenLogprob(msgspec.Struct, frozen=True):
    token: int
    logprob: float
    top: list[tuple[int, float]]


class Sampler:
    """The sampling state of one generation. Free with `close`."""

    def __init__(self, llama: Llama, params: SamplingParams) -> None:
        self._llama = llama
        self._params = params
        self._bias = dict(params.logit_bias)
        if params.ignore_eos:
            self._bias |= dict.fromkeys(llama.end_tokens, -np.inf)
        self._bias_ids = np.array(list(self._bias), np.int64)
        self._bias_values = np.array(list(self._bias.values()), np.float32)
        self._penalizes = bool(
            params.presence_penalty or params.frequency_penalty or params.repetition_penalty != 1.0
        )
        self._greedy = params.temperature <= 0
        self._grammar = grammar_sampler(llama.vocab, params.grammar) if params.grammar else None
        if params.grammar and not self._grammar:
            raise ValueError("llama.cpp cannot parse the grammar")
        self._simple = self._greedy and not self._penalizes and self._grammar is None
        self._chain = None if self._simple else chain(self._samplers())
        self._candidates = None if self._simple else np.zeros(llama.vocab_size, CANDIDATE)

    def _samplers(self) -> list[object]:
        p = self._params
        stages = []
        if self._penalizes:
            stages.append(
                llama_cpp.llama_sampler_init_penalties(
                    self._llama.vocab_size,
                    self._llama.pool,
                    p.repetition_penalty,
                    p.frequency_penalty,
                    p.presence_penalty,
                )
            )
        if self._greedy:
            return [*stages, llama_cpp.llama_sampler_init_greedy()]
        if p.top_k > 0:
            stages.append(llama_cpp.llama_sampler_init_top_k(p.top_k))
        if p.top_p < 1:
            stages.append(llama_cpp.llama_sampler_init_top_p(p.top_p, 1))
        if p.min_p > 0:
            stages.append(llama_cpp.llama_sampler_init_min_p(p.min_p, 1))
        seed = random.getrandbits(32) if p.seed is None else p.seed & 0xFFFFFFFF
        return [
            *stages,
            llama_cpp.llama_sampler_init_temp(p.temperature),
            llama_cpp.llama_sampler_init_dist(seed),
        ]

    def pick(self, logits_V: np.ndarray) -> tuple[int, TokenLogprob | None]:
        """The next token, and its log-probability if asked for. Updates penalties and grammar."""
        logprob_row_V = logits_V
        if len(self._bias_ids):
            logits_V = logits_V.copy()
            logits_V[self._bias_ids] += self._bias_values
        if self._simple:
            token = int(logits_V.argmax())
        else:
            token = self._draw(logits_V)
            if self._grammar is not None and not self._grammar_allows(token):
                token = self._draw(logits_V, constrained=True)
            llama_cpp.llama_sampler_accept(self._chain, token)
            if self._grammar is not None:
                llama_cpp.llama_sampler_accept(self._grammar, token)
        if self._params.top_logprobs < 0:
            return token, None
        return token, describe(logprob_row_V, token, self._params.top_logprobs)

    def _draw(self, logits_V: np.ndarray, *, constrained: bool = False) -> int:
        candidates = self._candidates
        candidates["id"] = np.arange(len(logits_V), dtype=np.int32)
        candidates["logit"] = logits_V
        candidates["p"] = 0
        array = as_token_array(candidates)
        if constrained:
            llama_cpp.llama_sampler_apply(self._grammar, ctypes.byref(array))
        llama_cpp.llama_sampler_apply(self._chain, ctypes.byref(array))
        return int(array.data[array.selected].id)

    def _grammar_allows(self, token: int) -> bool:
        """Checking one candidate is much cheaper than masking the whole vocabulary, and usually
        enough.
        """
        single = np.zeros(1, CANDIDATE)
        single["id"], single["logit"] = token, 1.0
        array = as_token_array(single)
        llama_cpp.llama_sampler_apply(self._grammar, ctypes.byref(array))
        return bool(np.isfinite(array.data[0].logit))

    def close(self) -> None:
        for sampler in (self._chain, self._grammar):
            if sampler is not None:
                llama_cpp.llama_sampler_free(sampler)
        self._chain = self._grammar = None


def as_token_array(candidates: np.ndarray) -> llama_cpp.llama_token_data_array:
    data = candidates.ctypes.data_as(ctypes.POINTER(llama_cpp.llama_token_data))
    return llama_cpp.llama_token_data_array(data, len(candidates), -1, False)


def describe(logits_V: np.ndarray, token: int, top: int) -> TokenLogprob:
    """Log-probabilities under the model itself: before bias, penalties and temperature."""
    peak = float(logits_V.max())
    norm = peak + float(np.log(np.exp(logits_V - peak).sum(dtype=np.float64)))
    best = np.argpartition(logits_V, -top)[-top:] if top else np.array([], np.int64)
    ordered = best[np.argsort(-logits_V[best], kind="stable")]
    return TokenLogprob(
        token, float(logits_V[token]) - norm, [(int(i), float(logits_V[i]) - norm) for i in ordered]
    )
