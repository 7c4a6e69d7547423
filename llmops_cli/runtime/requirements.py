"""recipes/envs/NAME.txt: what an environment needs. Lines that begin with `#:` are for us."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import msgspec

from llmops_cli.runtime.hardware import probe_gpus
from llmops_cli.runtime.paths import cache_dir, config_dir, recipes_dir

OURS = "#:"
CUDA = "-cuda"
CONSTRAINTS = "constraints"


class Requirements(msgspec.Struct, frozen=True, kw_only=True):
    """What must be importable, what a creation fetches, and what is put right after it."""

    name: str
    path: Path
    modules: tuple[str, ...] = ()
    download: str = ""
    uninstall: tuple[str, ...] = ()
    metadata: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """Where its environment lies; another content or Python has another place."""
        content = self.path.read_bytes() + sys.version.encode()
        digest = hashlib.sha256(content)
        digits = digest.hexdigest()[:12]
        return cache_dir() / "envs" / f"{self.path.stem}-{digits}"

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"


def known_environments() -> dict[str, Requirements]:
    """Environment name -> its requirements on this machine.

    Files of the user's own add to ours, or replace them.
    """
    files = {}
    for folder in (recipes_dir() / "envs", config_dir() / "envs"):
        for path in sorted(folder.glob("*.txt")):
            files[path.stem] = path
    files.pop(CONSTRAINTS, None)
    names = [name for name in files if not name.endswith(CUDA)]
    has_cuda_files = any(name + CUDA in files for name in names)
    wants_cuda = has_cuda_files and bool(probe_gpus())
    found = {}
    for name in names:
        path = files[name]
        if wants_cuda:
            path = files.get(name + CUDA, path)
        found[name] = read_requirements(name, path)
    return found


def read_requirements(name: str, path: Path) -> Requirements:
    """The file with its `#:` lines: modules, download, uninstall, metadata."""
    fields: dict[str, str] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith(OURS):
            said = line.removeprefix(OURS).strip()
            key, _, value = said.partition(" ")
            fields[key] = value
    return Requirements(
        name=name,
        path=path,
        modules=_words(fields, "modules"),
        download=fields.get("download", ""),
        uninstall=_words(fields, "uninstall"),
        metadata=_words(fields, "metadata"),
    )


def _words(fields: dict[str, str], name: str) -> tuple[str, ...]:
    text = fields.get(name, "")
    return tuple(text.split())
