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


def named_tokens(folder: Path) -> dict[str, str]:
    """Of bos, eos and the others -> its text, as tokenizer_config.json says it."""
    config = {
        **read_if_there(folder / "special_tokens_map.json"),
        **read_if_there(folder / "tokenizer_config.json"),
    }
    found = {}
    for name in SPECIAL_NAMES:
        entry = config.get(f"{name}_token")
        text = entry.get("content") if isinstance(entry, dict) else entry
        if isinstance(text, str):
            found[name] = text
    return found
