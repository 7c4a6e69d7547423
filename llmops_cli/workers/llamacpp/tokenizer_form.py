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
    if not _are_objects(tokenizer.get("added_tokens") or []):
        raise _odd("added_tokens", path)
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
    if kind in ("Split", "Replace"):
        return isinstance(step.get("pattern"), dict)
    if kind == "TemplateProcessing":
        template = step.get("single")
        return _are_objects(template) and all(map(_is_piece, template or []))
    return True


def _is_piece(piece: Json) -> bool:
    """Of a template: the text, or a special token by its name."""
    token = piece.get("SpecialToken")
    return "Sequence" in piece or (isinstance(token, dict) and isinstance(token.get("id"), str))


def _odd(part: str, path: Path) -> JobError:
    message = f"{path}: its {part} is not as tokenizers write it"
    return JobError("UsageError", message, "download it again")
