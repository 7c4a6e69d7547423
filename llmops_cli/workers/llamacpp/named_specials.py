"""The special tokens that a tokenizer's configuration names, whether a list has them or not.

Source: transformers 5.23, tokenization_utils_base.py, _from_pretrained and __init__.
"""

from pathlib import Path
from typing import NamedTuple

from _shared.protocol import JobError
from llamacpp.tokenizer_files import OLD_MAP, Json, read_if_there

ROLES = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")
"""In the order in which Transformers adds them."""
ROLE_FIELDS = tuple(f"{role}_token" for role in ROLES)
NO_OWN_ROLES = (*ROLE_FIELDS, "add_bos_token", "add_eos_token")
EXTRA = "extra_special_tokens"
OLD_EXTRA = "additional_special_tokens"
REPAIR = "correct it, or download the tokenizer's files again"


class NamedSpecials(NamedTuple):
    """Entries as an added token has them, in Transformers' order: by role, then the others."""

    by_role: tuple[Json, ...]
    others: tuple[Json, ...]


def named_specials(folder: Path) -> NamedSpecials:
    """Raises: JobError for a name that is no text, and for a list of names that is none."""
    path = folder / "tokenizer_config.json"
    config = read_if_there(path)
    old_path = folder / OLD_MAP
    old: Json = {}
    if "added_tokens_decoder" not in config:
        old = read_if_there(old_path)
    named = {field: config.get(field) for field in ROLE_FIELDS}
    named.update((field, old[field]) for field in ROLE_FIELDS if field in old)
    own = {**_own_roles(old), **_own_roles(config)}
    told = config.get(EXTRA) or config.get(OLD_EXTRA)
    others: list[object] = []
    for place, value in ((path, told), (old_path, _old_extra(config, old))):
        if isinstance(value, dict):
            own.update(value)
        else:
            others += _listed(value, place)
    roles = [_entry(value, field, path) for field, value in {**named, **own}.items()]
    more = [_entry(value, EXTRA, path) for value in others]
    return NamedSpecials(
        tuple({**entry, "special": True} for entry in roles if entry is not None),
        tuple(entry for entry in more if entry is not None),
    )


def _own_roles(fields: Json) -> Json:
    """Those of one model only: an image_token, for example."""
    return {
        name: value
        for name, value in fields.items()
        if name.endswith("_token") and name not in NO_OWN_ROLES and isinstance(value, str)
    }


def _old_extra(config: Json, old: Json) -> object:
    if EXTRA in old:
        return old[EXTRA]
    is_told = EXTRA in config or OLD_EXTRA in config
    return None if is_told else old.get(OLD_EXTRA)


def _listed(value: object, path: Path) -> list[object]:
    if value is None:
        return []
    if not isinstance(value, list):
        message = f"{path}: its special tokens are {value!r:.60}, no list"
        raise JobError("UsageError", message, REPAIR)
    return value


def _entry(value: object, field: str, path: Path) -> Json | None:
    """None for one that is not told, or has no letter."""
    if value is None or value == "":
        return None
    if isinstance(value, str):
        return {"content": value, "special": True}
    if isinstance(value, dict) and isinstance(value.get("content"), str):
        return value
    message = f"{path}: {field} is {value!r:.60}, not a text"
    raise JobError("UsageError", message, REPAIR)
