"""A folder of prompts: each by its name, or by name and version."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from llmops_cli.core.errors import UsageError, unknown_name
from llmops_cli.prompt_file.prompt import Prompt
from llmops_cli.prompt_file.read import read_prompt
from llmops_cli.runtime.near_path import near_path

SUFFIXES = frozenset({".md", ".txt", ".prompt"})
FOLDER = Path("prompts")
READMES = frozenset({"readme.md", "readme.txt"})


def read_library(folder: Path) -> dict[str, Prompt]:
    """Every prompt below the folder by name, in the order of names.

    Raises: UsageError for no folder, a file that holds no prompt, or a name that two have.
    """
    if not folder.is_dir():
        raise UsageError(f"no folder of prompts at {folder}", hint="a folder of .md or .txt files")
    found: dict[str, Prompt] = {}
    for path in _files(folder):
        prompt = read_prompt(path)
        other = found.get(prompt.name)
        if other is not None:
            raise UsageError(
                f"{other.path} and {path} are both called '{prompt.name}'",
                hint="give one of them another name",
            )
        found[prompt.name] = prompt
    return dict(sorted(found.items()))


def _files(folder: Path) -> list[Path]:
    """No hidden file, none that a README is, and no link to a file elsewhere."""
    root = folder.resolve()
    found = []
    for path in sorted(folder.rglob("*")):
        below = path.relative_to(folder)
        is_hidden = any(part.startswith(".") for part in below.parts)
        if is_hidden or path.suffix.lower() not in SUFFIXES or not path.is_file():
            continue
        if path.name.lower() in READMES or not path.resolve().is_relative_to(root):
            continue
        found.append(path)
    return found


def named_prompt(prompts: Mapping[str, Prompt], wanted: str) -> Prompt:
    """`NAME`, or `NAME@VERSION` for that version alone.

    Raises: UsageError for a name that is not there, or another version of it.
    """
    name, _, version = wanted.partition("@")
    prompt = prompts.get(name)
    if prompt is None:
        raise unknown_name("prompt", name, prompts)
    if version and not prompt.version.startswith(version):
        raise UsageError(
            f"prompt '{name}' is version {prompt.version} now, not {version}",
            hint=f"{name}@{prompt.version}, or bring the other file back",
        )
    return prompt


def find_prompt(wanted: str, *, folder: Path = FOLDER) -> Prompt:
    """A prompt by its file, or by its name in the folder. Raises: UsageError."""
    path = Path(wanted)
    if path.is_file():
        return read_prompt(path)
    looks_like_file = path.suffix in SUFFIXES or len(path.parts) > 1
    if looks_like_file or not folder.is_dir():
        raise UsageError(
            f"no prompt at {wanted}",
            hint=near_path(path, f"a file, or a name in the folder {folder}"),
        )
    return named_prompt(read_library(folder), wanted)
