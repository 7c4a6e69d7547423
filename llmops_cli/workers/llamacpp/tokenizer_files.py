"""The files of a Hugging Face tokenizer."""

import json
from pathlib import Path
from typing import Any

from _shared.protocol import JobError

SPECIAL_NAMES = ("bos", "eos", "unk", "sep", "pad", "mask")

# tokenizer.json and tokenizer_config.json as they are.
Json = dict[str, Any]


def read_if_there(path: Path) -> Json:
    """Raises: JobError for a file that is no JSON object."""
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError, OSError):
        raise JobError("UsageError", f"{path} is not JSON", "download it again") from None
    if not isinstance(found, dict):
        message = f"{path} holds a {type(found).__name__} and no object"
        raise JobError("UsageError", message, "Transformers would not read it: download it again")
    return found


OLD_MAP = "special_tokens_map.json"


def configuration(folder: Path) -> Json:
    """tokenizer_config.json; over it the file of older releases, unless it tells added tokens.

    Source: transformers 5.23, tokenization_utils_base.py, _from_pretrained.
    """
    config = read_if_there(folder / "tokenizer_config.json")
    if "added_tokens_decoder" in config:
        return config
    return {**config, **read_if_there(folder / OLD_MAP)}


def named_tokens(folder: Path) -> dict[str, str]:
    """Of bos, eos and the others -> its text, as tokenizer_config.json says it."""
    config = {**read_if_there(folder / OLD_MAP), **configuration(folder)}
    found = {}
    for name in SPECIAL_NAMES:
        entry = config.get(f"{name}_token")
        text = entry.get("content") if isinstance(entry, dict) else entry
        if isinstance(text, str):
            found[name] = text
    return found
