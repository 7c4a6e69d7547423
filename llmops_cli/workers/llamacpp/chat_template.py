"""A folder's chat template, where Transformers finds it: a file goes before a field."""

from pathlib import Path

from _shared.protocol import JobError
from llamacpp.tokenizer_files import Json, read_if_there

FILE = "chat_template.jinja"
MORE = "additional_chat_templates"
OLD_FILE = "chat_template.json"
FIELD = "chat_template"
DEFAULT = "default"

Templates = str | list[dict[str, str]] | None
"""One, or several by name, as gguf's writer takes them."""


def chat_template_of(folder: Path) -> Templates:
    """None for a folder without one. Raises: JobError for one that is no text, or a broken file."""
    read_if_there(folder / OLD_FILE)  # gguf reads it again, whatever is there
    named = _files(folder)
    if named:
        return _by_name(named)
    for name in ("tokenizer_config.json", OLD_FILE):
        path = folder / name
        told = read_if_there(path).get(FIELD)
        if isinstance(told, str):
            return told
        if told is not None:
            return _listed(told, path)
    return None


def _files(folder: Path) -> dict[str, str]:
    found = {}
    if (folder / FILE).is_file():
        found[DEFAULT] = _text(folder / FILE)
    for path in sorted((folder / MORE).glob("*.jinja")):
        found[path.stem] = _text(path)
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        message = f"{path} cannot be read as UTF-8"
        raise JobError("UsageError", message, "download it again") from None


def _by_name(named: dict[str, str]) -> Templates:
    if list(named) == [DEFAULT]:
        return named[DEFAULT]
    return [{"name": name, "template": text} for name, text in named.items()]


def _listed(told: object, path: Path) -> Templates:
    """Raises: JobError for something else than templates with names."""
    rows: list[Json] = told if isinstance(told, list) else []
    named = {}
    for row in rows:
        name = row.get("name") if isinstance(row, dict) else None
        text = row.get("template") if isinstance(row, dict) else None
        if isinstance(name, str) and isinstance(text, str):
            named[name] = text
    if len(named) != len(rows) or not rows:
        message = f"{path}: {FIELD} is neither a text nor a list of templates with names"
        raise JobError("UsageError", message, "correct it, or download it again")
    return _by_name(named)
