"""Whether a tokenizer puts BOS before a text and EOS after it."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from _shared.protocol import JobError
from llamacpp.tokenizer_files import Json, read_if_there


class Ends(NamedTuple):
    """`numbers`: of bos and eos, where the tokenizer tells which it puts."""

    bos: bool = False
    eos: bool = False
    numbers: Mapping[str, list[int]] = MappingProxyType({})


def ends_of(folder: Path, named: dict[str, str]) -> Ends:
    """As Transformers settles it: tokenizer.json's post-processor, or what the other file says.

    Raises: JobError for other tokens there, which llama.cpp would not put.
    """
    path = folder / "tokenizer.json"
    if path.exists():
        return _of_template(read_if_there(path), named, path)
    config = read_if_there(folder / "tokenizer_config.json")
    return Ends(
        bos=bool(config.get("add_bos_token")) and "bos" in named,
        eos=bool(config.get("add_eos_token")) and "eos" in named,
    )


def _of_template(
    tokenizer: Json,
    named: dict[str, str],
    path: Path,
) -> Ends:
    post = tokenizer.get("post_processor") or {}
    ends = Ends()
    for step in post.get("processors", [post]):
        kind = step.get("type")
        if kind == "TemplateProcessing":
            _check_text(step["single"], path)
            before, after = _around(step["single"])
            put = {"bos": before, "eos": after}
            told = step["special_tokens"]
            numbers = {name: told[texts[0]]["ids"] for name, texts in put.items() if texts}
            ends = Ends(bos=bool(before), eos=bool(after), numbers=numbers)
            _check(before, named.get("bos"), path)
            _check(after, named.get("eos"), path)
        elif kind not in (None, "ByteLevel", "Sequence"):
            message = f"{path}: llama.cpp has no post-processor {kind} for such a model"
            raise JobError("UsageError", message, "TemplateProcessing with BOS and EOS is known")
    return ends


def _check_text(template: list[Json], path: Path) -> None:
    """Raises: JobError for a template that does not put the text once."""
    texts = [part["Sequence"] for part in template if "Sequence" in part]
    if len(texts) != 1 or texts[0].get("id") != "A":
        message = f"{path}: its post_processor does not put the text once"
        raise JobError(
            "UsageError", message, "llama.cpp puts one BOS before it and one EOS after it"
        )


def _around(template: list[Json]) -> tuple[list[str], list[str]]:
    """The special tokens before the text, and those after it."""
    before: list[str] = []
    after: list[str] = []
    current = before
    for part in template:
        if "Sequence" in part:
            current = after
        else:
            current.append(part["SpecialToken"]["id"])
    return before, after


def _check(found: list[str], expected: str | None, path: Path) -> None:
    """Raises: JobError unless it is nothing, or just the token that llama.cpp would put."""
    if found and (expected is None and len(found) == 1):
        return
    if found and found != [expected]:
        message = f"{path}: it puts {' '.join(found)} around a text"
        hint = "llama.cpp puts one BOS before it and one EOS after it, no others"
        raise JobError("UsageError", message, hint)
