"""llama.cpp's samplers behind typed Python: chains, and the candidates they work on.

Shapes: V vocabulary.
"""

import ctypes
from functools import cache

import llama_cpp
import numpy as np
import numpy.typing as npt

CANDIDATE = np.dtype(
    [
        ("id", np.int32),
        ("logit", np.float32),
        ("p", np.float32),
    ]
)
"""llama_token_data."""


@cache
def token_ids(count: int) -> npt.NDArray[np.int32]:
    return np.arange(count, dtype=np.int32)


class Candidates:
    """Tokens with their logits, in the layout that llama.cpp's samplers change in place."""

    def __init__(self, count: int) -> None:
        self._rows = np.zeros(count, CANDIDATE)
        pointer_type = ctypes.POINTER(llama_cpp.llama_token_data)
        self._pointer = self._rows.ctypes.data_as(pointer_type)
        self._reset(count)

    def fill(self, logits_V: npt.NDArray[np.float32]) -> None:
        """All tokens of the vocabulary, in order."""
        self._rows["id"] = token_ids(len(self._rows))
        self._rows["logit"] = logits_V
        self._rows["p"] = 0
        self._reset(len(self._rows))

    def fill_some(self, tokens: npt.NDArray[np.int64], logits_V: npt.NDArray[np.float32]) -> None:
        """These tokens alone."""
        count = len(tokens)
        rows = self._rows[:count]
        rows["id"] = tokens
        rows["logit"] = logits_V[tokens]
        rows["p"] = 0
        self._reset(count)

    def order_by_token(self) -> None:
        """Undoes what samplers have sorted by probability.

        Draws add probabilities up in the candidates' order. Of two that are nearly even either
        may come first, by a rounding: then whole tokens change places under the same number.
        """
        if not self.array.sorted:
            return
        size = self.array.size
        rows = self._rows[:size]
        order = rows["id"].argsort()
        rows[:] = rows[order]
        self._reset(size)

    def _reset(self, size: int) -> None:
        # Samplers cut, sort and select by changing the array's fields: each draw needs a new one.
        self.array = llama_cpp.llama_token_data_array(self._pointer, size, -1, False)

    @property
    def selected(self) -> int:
        """The token that the last sampler of a chain has chosen."""
        chosen = self.array.data[self.array.selected]
        return int(chosen.id)


class NativeSampler:
    """One sampler of llama.cpp. `close` frees it, unless a chain has taken it."""

    def __init__(self, handle: object) -> None:
        self.handle = handle

    def apply(self, candidates: Candidates) -> None:
        llama_cpp.llama_sampler_apply(self.handle, ctypes.byref(candidates.array))

    def accept(self, token: int) -> None:
        """Moves penalties and random numbers on by the token that was chosen."""
        llama_cpp.llama_sampler_accept(self.handle, token)

    def close(self) -> None:
        llama_cpp.llama_sampler_free(self.handle)


def chain(samplers: list[NativeSampler]) -> NativeSampler:
    """One sampler that applies these in turn, and owns them."""
    params = llama_cpp.llama_sampler_chain_default_params()
    whole = llama_cpp.llama_sampler_chain_init(params)
    for sampler in samplers:
        llama_cpp.llama_sampler_chain_add(whole, sampler.handle)
    return NativeSampler(whole)


def penalties(
    *,
    vocabulary_size: int,
    window: int,
    repetition: float,
    frequency: float,
    presence: float,
) -> NativeSampler:
    """Lowers the logits of the last `window` tokens."""
    handle = llama_cpp.llama_sampler_init_penalties(
        vocabulary_size, window, repetition, frequency, presence
    )
    return NativeSampler(handle)


def greedy() -> NativeSampler:
    return NativeSampler(llama_cpp.llama_sampler_init_greedy())


def top_k(count: int) -> NativeSampler:
    return NativeSampler(llama_cpp.llama_sampler_init_top_k(count))


def top_p(mass: float) -> NativeSampler:
    return NativeSampler(llama_cpp.llama_sampler_init_top_p(mass, 1))


def min_p(ratio: float) -> NativeSampler:
    return NativeSampler(llama_cpp.llama_sampler_init_min_p(ratio, 1))


def temperature(value: float) -> NativeSampler:
    return NativeSampler(llama_cpp.llama_sampler_init_temp(value))


def draw(seed: int) -> NativeSampler:
    """Chooses by probability."""
    return NativeSampler(llama_cpp.llama_sampler_init_dist(seed))
