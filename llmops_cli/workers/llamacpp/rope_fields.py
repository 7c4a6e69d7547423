"""Whether the parameters of a rotary embedding are numbers that an angle can be computed from."""

from _shared.protocol import JobError
from llamacpp.defaults import ModelFields
from llamacpp.fields import NUMBER, POSITIVE, SIZE, TRUTH, Kind, refusal


def _are_numbers(value: object) -> bool:
    return isinstance(value, list) and all(POSITIVE.holds(each) for each in value)


FACTORS = Kind("a list of numbers above 0", _are_numbers)
OBJECT = Kind("an object", lambda value: isinstance(value, dict))
KINDS = {
    "rope_theta": POSITIVE,
    "partial_rotary_factor": POSITIVE,
    "factor": POSITIVE,
    "original_max_position_embeddings": SIZE,
    "attention_factor": NUMBER,
    "beta_fast": POSITIVE,
    "beta_slow": POSITIVE,
    "mscale": NUMBER,
    "mscale_all_dim": NUMBER,
    "truncate": TRUTH,
    "low_freq_factor": POSITIVE,
    "high_freq_factor": POSITIVE,
    "short_factor": FACTORS,
    "long_factor": FACTORS,
}
NEEDED = {
    "linear": ("factor",),
    "llama3": ("factor", "low_freq_factor", "high_freq_factor"),
    "longrope": ("short_factor", "long_factor"),
}
"""Those that Transformers reads by name, so that a model without them does not load."""
ALWAYS_NEEDED = ("rope_theta",)


def as_object(config: ModelFields, name: str) -> ModelFields:
    """A field that holds fields; empty where it is null or absent.

    Raises: JobError for one that holds something else.
    """
    found = config.get(name) or {}
    if not isinstance(found, dict):
        raise refusal(name, found, OBJECT)
    return found


def check_rope(rope: ModelFields) -> None:
    """Raises: JobError for a parameter that is no such number, or that its kind needs."""
    for name, kind in KINDS.items():
        value = rope.get(name)
        if value is not None and not kind.holds(value):
            raise refusal(f"{name} of the rotary embedding", value, kind)
    needed = (*ALWAYS_NEEDED, *NEEDED.get(rope["rope_type"], ()))
    missing = [name for name in needed if rope.get(name) is None]
    if missing:
        message = f"config.json: rope scaling '{rope['rope_type']}' without {', '.join(missing)}"
        raise JobError("UsageError", message, "correct config.json, or download it again")
