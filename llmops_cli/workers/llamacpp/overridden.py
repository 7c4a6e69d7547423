"""Loading a model with another value in place of one that its file has."""

from typing import Any

import llama_cpp

from llamacpp.library import load_model
from llamacpp.log import LogCapture

INTEGER = 0
"""LLAMA_KV_OVERRIDE_TYPE_INT"""


def load_with(
    path: str,
    log: LogCapture,
    *,
    key: str,
    value: int,
) -> object:
    """The model as if its file had this number under the key."""
    # Any: the union's type is told wrong; an empty key ends the list
    overrides: Any = (llama_cpp.llama_model_kv_override * 2)()
    overrides[0].tag = INTEGER
    overrides[0].key = key.encode()
    overrides[0].value.val_i64 = value
    return load_model(path, log, overrides=overrides)
