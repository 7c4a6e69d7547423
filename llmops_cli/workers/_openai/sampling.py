"""How the tokens of an answer are to be chosen. Standard library only.

The ranges and the words of refusals are vLLM's (vllm/sampling_params.py, `_verify_args`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from _openai.fields import Fields, is_number, wrong

GREEDY_BELOW = 1e-5
"""A temperature so low is none, as in vLLM: dividing by it gives infinities."""
MOST_TEMPERATURE = 2.0
MOST_PENALTY = 2.0
MOST_BIAS = 100.0
SEEDS = 1 << 63


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """Defaults change nothing: a draw from what the model says.

    `top_k` 0: of all tokens. `seed` None: of no seed, another answer each time.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    seed: int | None = None

    @property
    def is_greedy(self) -> bool:
        return self.temperature < GREEDY_BELOW

    @property
    def penalizes(self) -> bool:
        """Whether tokens that were said count."""
        return (
            self.presence_penalty != 0
            or self.frequency_penalty != 0
            or self.repetition_penalty != 1
        )


def sampling_of(fields: Fields, *, vocabulary_size: int) -> Sampling:
    """Raises: RequestError naming the field that has no such value."""
    return Sampling(
        temperature=_temperature(fields),
        top_p=_top_p(fields),
        top_k=_top_k(fields),
        min_p=_min_p(fields),
        presence_penalty=_penalty(fields, "presence_penalty"),
        frequency_penalty=_penalty(fields, "frequency_penalty"),
        repetition_penalty=_repetition_penalty(fields),
        logit_bias=_logit_bias(fields, vocabulary_size),
        seed=_seed(fields),
    )


def _temperature(fields: Fields) -> float:
    value = fields.number("temperature")
    if value is None:
        return 1.0
    if value < 0:
        raise wrong("temperature", "must be non-negative", value)
    if value > MOST_TEMPERATURE:
        raise wrong("temperature", "must be in [0, 2]", value)
    return value


def _top_p(fields: Fields) -> float:
    value = fields.number("top_p")
    if value is None:
        return 1.0
    if not 0 < value <= 1:
        raise wrong("top_p", "must be in (0, 1]", value)
    return value


def _top_k(fields: Fields) -> int:
    """-1 is vLLM's other word for no limit."""
    value = fields.integer("top_k")
    if value is None:
        return 0
    if value < -1:
        raise wrong("top_k", "must be 0 (disable), or at least 1", value)
    return max(value, 0)


def _min_p(fields: Fields) -> float:
    value = fields.number("min_p")
    if value is None:
        return 0.0
    if not 0 <= value <= 1:
        raise wrong("min_p", "must be in [0, 1]", value)
    return value


def _penalty(fields: Fields, name: str) -> float:
    value = fields.number(name)
    if value is None:
        return 0.0
    if abs(value) > MOST_PENALTY:
        raise wrong(name, "must be in [-2, 2]", value)
    return value


def _repetition_penalty(fields: Fields) -> float:
    value = fields.number("repetition_penalty")
    if value is None:
        return 1.0
    if value <= 0:
        raise wrong("repetition_penalty", "must be greater than zero", value)
    return value


def _seed(fields: Fields) -> int | None:
    """-1 is no seed, as in vLLM."""
    value = fields.integer("seed")
    if value is None or value == -1:
        return None
    if not -SEEDS <= value < SEEDS:
        raise wrong("seed", "must be an integer of 64 bits", value)
    return value


def _logit_bias(fields: Fields, vocabulary_size: int) -> dict[int, float]:
    values = fields.record("logit_bias")
    bias = {}
    for name in values.names():
        if not name.isdecimal() or int(name) >= vocabulary_size:
            raise wrong("logit_bias", f"has tokens from 0 to {vocabulary_size - 1}", name)
        value = values.raw(name)
        if not is_number(value) or abs(value) > MOST_BIAS:
            raise wrong("logit_bias", "has values in [-100, 100]", value)
        bias[int(name)] = float(value)
    return bias
