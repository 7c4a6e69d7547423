"""What Transformers raises for a folder that it cannot read."""

from pickle import UnpicklingError

from safetensors import SafetensorError

REFUSALS = (
    ValueError,
    RuntimeError,
    ImportError,
    KeyError,
    AttributeError,
    TypeError,
    OSError,
    SafetensorError,
    UnpicklingError,
)
