"""Whether a tokenizer.json has the form that its library writes: what is read of it is there."""

from pathlib import Path

from _shared.protocol import JobError
from llamacpp.tokenizer_files import Json, read_if_there

STEPS = {
    "normalizer": "normalizers",
    "pre_tokenizer": "pretokenizers",
    "post_processor": "processors",
}
"""A part, and where it keeps several steps."""
VERSION = "1.0"
HELD = ("truncation", "padding")
"""Objects, or nothing."""


def read_tokenizer(path: Path) -> Json:
    """Empty where no file is. Raises: JobError for one that is of another form."""
    tokenizer = read_if_there(path)
    if path.exists():
        check_form(tokenizer, path)
    return tokenizer


def check_form(tokenizer: Json, path: Path) -> None:
    """Raises: JobError for a part of another form, which the library would not read either."""
    if not isinstance(tokenizer.get("model") or {}, dict):
        raise _odd("model", path)
    if not _are_objects(tokenizer.get("added_tokens", [])):
        raise _odd("added_tokens", path)
    if tokenizer.get("version", VERSION) != VERSION:
        raise _odd("version", path)
    for part in HELD:
        if not isinstance(tokenizer.get(part) or {}, dict):
            raise _odd(part, path)
    for part, several in STEPS.items():
        whole = tokenizer.get(part)
        if whole is None:
            continue
        steps = whole.get(several, [whole]) if isinstance(whole, dict) else None
        if not _are_objects(steps) or not all(map(_is_whole, steps or [])):
            raise _odd(part, path)


def _are_objects(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, dict) for each in value)


def _is_whole(step: Json) -> bool:
    """Whether it has what its kind needs."""
    kind = step.get("type")
    if not isinstance(kind, str):
        return False
    if kind in ("Split", "Replace"):
        return isinstance(step.get("pattern"), dict)
    if kind == "TemplateProcessing":
        template = step.get("single")
        if not _are_objects(template) or not all(map(_is_piece, template or [])):
            return False
        return _has_numbers(step.get("special_tokens"), template or [])
    return True


def _has_numbers(tokens: object, template: list[Json]) -> bool:
    """Whether each special token of a template is told with its numbers."""
    if not isinstance(tokens, dict):
        return False
    put = [piece["SpecialToken"]["id"] for piece in template if "Sequence" not in piece]
    told = [tokens.get(text) for text in put]
    return all(isinstance(each, dict) and isinstance(each.get("ids"), list) for each in told)


def _is_piece(piece: Json) -> bool:
    """Of a template: the text, or a special token by its name."""
    token = piece.get("SpecialToken")
    return "Sequence" in piece or (isinstance(token, dict) and isinstance(token.get("id"), str))


def _odd(part: str, path: Path) -> JobError:
    message = f"{path}: its {part} is not as tokenizers write it"
    return JobError("UsageError", message, "download it again")


def check_switches(folder: Path) -> None:
    """Raises: JobError for what tokenizer_config.json switches, where llama.cpp has no switch."""
    path = folder / "tokenizer_config.json"
    config = read_if_there(path)
    splits = config.get("split_special_tokens", False)
    longest = config.get("model_max_length")
    if not isinstance(splits, bool) or isinstance(longest, bool | str | list | dict):
        message = (
            f"{path}: split_special_tokens is {splits!r:.60}, model_max_length {longest!r:.60}"
        )
        raise JobError("UsageError", message, "Transformers would not read it: download it again")
    if splits:
        message = f"{path}: split_special_tokens, and llama.cpp takes special tokens whole"
        raise JobError("UsageError", message, "a tokenizer without it converts")
