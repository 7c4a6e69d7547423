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
        return dict(json.loads(path.read_text()))
    except (ValueError, TypeError, RecursionError, OSError):
        raise JobError("UsageError", f"{path} is not JSON", "download it again") from None


MORE_SPECIAL = ("extra_special_tokens", "additional_special_tokens")
"""Where a configuration names those without a role, the first that is there."""
OLD_MAP = "special_tokens_map.json"
NUMBERED = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")
"""Roles in the order in which Transformers numbers tokens that have no number yet."""


def special_texts(folder: Path) -> list[str]:
    """All special tokens that the configuration names, in that order."""
    config = _configuration(folder)
    named = [config.get(f"{role}_token") for role in NUMBERED]
    for field in MORE_SPECIAL:
        more = config.get(field)
        if more:
            named += more.values() if isinstance(more, dict) else more
            break
    texts = [each.get("content") if isinstance(each, dict) else each for each in named]
    return [text for text in texts if isinstance(text, str)]


def _configuration(folder: Path) -> Json:
    """tokenizer_config.json; over it the file of older releases, unless it tells added tokens.

    Source: transformers 5.23, tokenization_utils_base.py, _from_pretrained.
    """
    config = read_if_there(folder / "tokenizer_config.json")
    if "added_tokens_decoder" in config:
        return config
    return {**config, **read_if_there(folder / OLD_MAP)}


def named_tokens(folder: Path) -> dict[str, str]:
    """Of bos, eos and the others -> its text, as tokenizer_config.json says it."""
    config = {**read_if_there(folder / OLD_MAP), **_configuration(folder)}
    found = {}
    for name in SPECIAL_NAMES:
        entry = config.get(f"{name}_token")
        text = entry.get("content") if isinstance(entry, dict) else entry
        if isinstance(text, str):
            found[name] = text
    return found
