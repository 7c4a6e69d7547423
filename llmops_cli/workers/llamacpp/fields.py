"""Whether config.json's fields are values that a model can be built from.

Transformers 5 refuses most others too; older ones fail somewhere within the model.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

from _shared.protocol import JobError
from llamacpp.defaults import DEFAULTS, ModelFields

MOST_LAYERS = 512
"""LLAMA_MAX_LAYERS of llama.cpp."""
MOST = (1 << 31) - 1
"""That a GGUF file's whole number tells, and llama.cpp counts with."""


class Kind(NamedTuple):
    """What a value may be: in words, and as a question."""

    words: str
    holds: Callable[[object], bool]


def _number_in(value: object) -> float:
    """NaN for what is no number, or no finite one."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    return value if math.isfinite(value) else math.nan


def _is_count(value: object) -> bool:
    return isinstance(value, int) and _number_in(value) >= 0


def _is_size(value: object) -> bool:
    return _is_count(value) and 0 < _number_in(value) <= MOST


def _is_layer_count(value: object) -> bool:
    return _is_size(value) and _number_in(value) <= MOST_LAYERS


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


SIZE = Kind("a whole number above 0, of 31 bits", _is_size)
COUNT = Kind("a whole number, 0 or more", _is_count)
LAYERS = Kind(f"a whole number from 1 to {MOST_LAYERS}, which llama.cpp ends at", _is_layer_count)
POSITIVE = Kind("a number above 0", lambda value: _number_in(value) > 0)
NUMBER = Kind("a number, 0 or more", lambda value: _number_in(value) >= 0)
TEXT = Kind("a text", lambda value: isinstance(value, str))
TRUTH = Kind("true or false", lambda value: isinstance(value, bool))
TEXTS = Kind("a list of texts", _are_texts)
OF_DEFAULT = {bool: TRUTH, int: SIZE, float: NUMBER, str: TEXT}
"""By what a class has where nothing is given."""
OF_NAME = {
    "num_hidden_layers": LAYERS,
    "max_window_layers": COUNT,
    "query_pre_attn_scalar": POSITIVE,
    "num_key_value_heads": SIZE,
    "head_dim": SIZE,
    "sliding_window": SIZE,
    "sliding_window_pattern": SIZE,
    "original_max_position_embeddings": SIZE,
    "layer_types": TEXTS,
    "final_logit_softcapping": POSITIVE,
    "attn_logit_softcapping": POSITIVE,
    "use_bidirectional_attention": TRUTH,
}
"""For those that may be null, and those that are more, or less, than their default's type."""


MORE = ("head_dim", "sliding_window_pattern", "original_max_position_embeddings")
"""What is read where it is there, though not every class has it by default."""


MAY_BE_NULL = (
    "num_key_value_heads",
    "head_dim",
    "sliding_window",
    "layer_types",
    "final_logit_softcapping",
    "attn_logit_softcapping",
)
"""In every class, whatever its default: null says that there is none, or that it follows."""


def check_fields(given: ModelFields, architecture: str) -> None:
    """Raises: JobError for a value that no model of this class has."""
    defaults = {**DEFAULTS[architecture], **dict.fromkeys(MORE)}
    for name, default in defaults.items():
        if name not in given:
            continue
        value = given[name]
        kind = OF_NAME.get(name) or OF_DEFAULT[type(default)]
        may_be_null = default is None or kind is TRUTH or name in MAY_BE_NULL
        if not kind.holds(value) and not (value is None and may_be_null):
            raise refusal(name, value, kind)


def refusal(name: str, value: object, kind: Kind) -> JobError:
    shown = f"{value!r}"[:60]
    message = f"config.json: {name} is {shown}, not {kind.words}"
    return JobError("UsageError", message, "correct config.json, or download it again")


def check_heads(fields: ModelFields) -> None:
    """Raises: JobError for query heads that cannot share the key heads evenly."""
    heads = fields["num_attention_heads"]
    groups = fields["num_key_value_heads"]
    if heads % groups:
        message = f"config.json: {heads} attention heads cannot share {groups} key and value heads"
        raise JobError("UsageError", message, "correct config.json, or download it again")
