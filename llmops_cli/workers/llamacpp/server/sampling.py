"""Picks the next token of a generation from one row of logits.

Shapes: V vocabulary.
"""

import random

import msgspec
import numpy as np

from _shared.grammars.machine import Machine
from llamacpp.server import samplers
from llamacpp.server.constraint import Constraint, TokenIds
from llamacpp.server.model import LogitsRow
from llamacpp.server.samplers import Candidates, NativeSampler
from llamacpp.server.vocabulary import Vocabulary

COLDEST = 1e-4
"""Below it the likeliest token is the only one, and logits divided by it would overflow."""


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
    grammar: Machine | None = None
    top_logprobs: int = -1

    @property
    def is_greedy(self) -> bool:
        return self.temperature < COLDEST

    @property
    def penalizes(self) -> bool:
        if self.repetition_penalty != 1.0:
            return True
        return bool(self.presence_penalty or self.frequency_penalty)

    @property
    def wants_logprobs(self) -> bool:
        return self.top_logprobs >= 0


class TokenLogprob(msgspec.Struct, frozen=True):
    token: int
    logprob: float
    top: list[tuple[int, float]]


class Sampler:
    """The sampling state of one generation. Free with `close`."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        params: SamplingParams,
        *,
        window: int,
    ) -> None:
        """`window`: how many last tokens are penalized."""
        bias = bias_of(params, vocabulary)
        values = list(bias.values())
        self._bias_ids = np.array(list(bias), np.int64)
        self._bias_values = np.array(values, np.float32)
        self._top_logprobs = params.top_logprobs
        self._native: NativeSampling | None = None
        self._constraint: Constraint | None = None
        if params.penalizes or not params.is_greedy:
            self._native = NativeSampling(vocabulary, params, window=window)
        if params.grammar is not None:
            self._constraint = Constraint(vocabulary, params.grammar)

    @property
    def is_over(self) -> bool:
        """The grammar is at its end: another token can only be wrong."""
        return self._constraint is not None and self._constraint.is_over

    @property
    def has_grammar(self) -> bool:
        return self._constraint is not None

    @property
    def is_costly(self) -> bool:
        """Its grammar's last token was much work, or the first one might be."""
        return self._constraint is not None and self._constraint.is_costly

    @property
    def grammar_work(self) -> int:
        """What the last token was of it."""
        return 0 if self._constraint is None else self._constraint.last_work or 0

    def pick(self, row_V: LogitsRow) -> tuple[int, TokenLogprob | None]:
        """The next token, and its log-probability if asked for. Updates penalties and grammar.

        Raises: GrammarError.
        """
        biased_V = row_V
        if len(self._bias_ids):
            biased_V = row_V.copy()
            biased_V[self._bias_ids] += self._bias_values
        token = self._choose(biased_V)
        if self._constraint is not None:
            token = self._held(self._constraint, token, biased_V)
        if self._native is not None:
            self._native.accept(token)
        if self._top_logprobs < 0:
            return token, None
        return token, logprob_of(row_V, token, self._top_logprobs)

    def _choose(self, row_V: LogitsRow, tokens: TokenIds | None = None) -> int:
        """One of all, or of some."""
        if self._native is not None:
            return self._native.draw(row_V, tokens)
        if tokens is None:
            return int(row_V.argmax())
        best = row_V[tokens].argmax()
        return int(tokens[best])

    def _held(
        self,
        constraint: Constraint,
        token: int,
        row_V: LogitsRow,
    ) -> int:
        """The token, or another if it does not fit.

        One token is checked in microseconds, and most of those that a model likes best do fit.
        """
        constraint.begin_pick()
        if not constraint.allows(token):
            tokens = constraint.allowed(row_V)
            token = self._choose(row_V, tokens)
        constraint.accept(token)
        constraint.end_pick()
        return token

    def close(self) -> None:
        if self._native is not None:
            self._native.close()
            self._native = None


class NativeSampling:
    """What needs more than the largest logit: llama.cpp's chain of samplers."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        params: SamplingParams,
        *,
        window: int,
    ) -> None:
        stages = stages_of(params, vocabulary_size=vocabulary.size, window=window)
        self._chain = samplers.chain(stages)
        self._last = last_stage_of(params)
        self._candidates = Candidates(vocabulary.size)

    def draw(self, row_V: LogitsRow, tokens: TokenIds | None) -> int:
        candidates = self._candidates
        if tokens is None:
            candidates.fill(row_V)
        else:
            candidates.fill_some(tokens, row_V)
        self._chain.apply(candidates)
        candidates.order_by_token()
        self._last.apply(candidates)
        return candidates.selected

    def accept(self, token: int) -> None:
        self._chain.accept(token)
        self._last.accept(token)

    def close(self) -> None:
        self._chain.close()
        self._last.close()


def bias_of(params: SamplingParams, vocabulary: Vocabulary) -> dict[int, float]:
    bias = dict(params.logit_bias)
    if params.ignore_eos:
        bias |= dict.fromkeys(vocabulary.end_tokens, -np.inf)
    return bias


def stages_of(
    params: SamplingParams,
    *,
    vocabulary_size: int,
    window: int,
) -> list[NativeSampler]:
    """Those that change or cut the candidates, in llama.cpp's order."""
    stages: list[NativeSampler] = []
    if params.penalizes:
        penalties = samplers.penalties(
            vocabulary_size=vocabulary_size,
            window=window,
            repetition=params.repetition_penalty,
            frequency=params.frequency_penalty,
            presence=params.presence_penalty,
        )
        stages.append(penalties)
    if params.is_greedy:
        return stages
    if params.top_k > 0:
        stages.append(samplers.top_k(params.top_k))
    if params.top_p < 1:
        stages.append(samplers.top_p(params.top_p))
    if params.min_p > 0:
        stages.append(samplers.min_p(params.min_p))
    stages.append(samplers.temperature(params.temperature))
    return stages


def last_stage_of(params: SamplingParams) -> NativeSampler:
    """The one that chooses."""
    if params.is_greedy:
        return samplers.greedy()
    seed = seed_of(params)
    return samplers.draw(seed)


def seed_of(params: SamplingParams) -> int:
    if params.seed is None:
        return random.getrandbits(32)
    return params.seed & 0xFFFFFFFF


def logprob_of(
    row_V: LogitsRow,
    token: int,
    top: int,
) -> TokenLogprob:
    """Log-probabilities under the model itself: before bias, penalties and temperature."""
    peak = float(row_V.max())
    exp_V = np.exp(row_V - peak)
    sum_of_exp = exp_V.sum(dtype=np.float64)
    norm = peak + float(np.log(sum_of_exp))
    likeliest = []
    for other in likeliest_tokens(row_V, top):
        logprob = float(row_V[other]) - norm
        pair = (other, logprob)
        likeliest.append(pair)
    own_logprob = float(row_V[token]) - norm
    return TokenLogprob(token, own_logprob, likeliest)


def likeliest_tokens(row_V: LogitsRow, count: int) -> list[int]:
    """Best first."""
    if count == 0:
        return []
    best = np.argpartition(row_V, -count)[-count:]
    order = np.argsort(-row_V[best], kind="stable")
    return [int(token) for token in best[order]]
