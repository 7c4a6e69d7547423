"""Whether a Python can import what it should.

Found is not importable: a library can be there and broken, so the modules are really imported, in
that Python, and the finding is kept until a file of theirs changes.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from llmops_cli.core.errors import LlmopsError
from llmops_cli.core.wrong_json import UNREADABLE
from llmops_cli.runtime.files import write_atomic
from llmops_cli.runtime.paths import cache_dir

IMPORT_TIMEOUT_S = 300.0
LOOK_TIMEOUT_S = 60.0
ABSENT = " -"
"""What stands behind a module that is not there."""

_IMPORT = """
import importlib, json, sys
bad = {}
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except BaseException as error:
        bad[name] = f"{type(error).__name__}: {error}".splitlines()[0][:200]
print("\\n" + json.dumps(bad))
"""
_LOOK = """
import importlib.util, os, sys
for name in sys.argv[1:]:
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        print(name, "-")
        continue
    files = []
    if not spec.submodule_search_locations and spec.has_location:
        files = [spec.origin]
    for place in spec.submodule_search_locations or ():
        for folder, _, names in os.walk(place):
            files += [os.path.join(folder, each) for each in names if not each.endswith(".pyc")]
    for file in sorted(files):
        found = os.stat(file)
        print(file, found.st_size, found.st_mtime_ns)
"""


def missing_modules(
    python: str,
    modules: tuple[str, ...],
    *,
    anew: bool = False,
    imported: Collection[str] = (),
    variables: Mapping[str, str] = {},
) -> str:
    """What that Python cannot import, as the end of a sentence about it; empty if it can all.

    `imported`: modules that `imported_together` found good a moment ago. `variables` are set for
    the import.
    """
    if not modules:
        return ""
    look = _look(python, modules)
    if look is None:
        return "cannot be started"
    absent = [line for line in look.splitlines() if line.endswith(ABSENT)]
    if absent:
        names = [line.removesuffix(ABSENT) for line in absent]
        listed = ", ".join(names)
        return f"has no {listed}"
    kept = _finding(python, look)
    if not anew:
        with suppress(OSError, *UNREADABLE):
            return _sentence(msgspec.json.decode(kept.read_bytes(), type=dict[str, str]))
    broken: dict[str, str] = {}
    if not set(modules) <= set(imported):
        broken = _import(python, modules, variables)
    with suppress(LlmopsError):  # a cache that cannot be written costs time, not the answer
        content = json.dumps(broken)
        write_atomic(kept, content.encode())
    return _sentence(broken)


def imported_together(python: str, modules: Collection[str]) -> set[str]:
    """Those that one process of that Python can import, one after another.

    Environments of one Python share most of what they import, so this takes the time of one. Of a
    process that ends on the way nothing is known: none.
    """
    try:
        broken = _broken(python, modules, {})
    except _NO_FINDING:
        return set()
    return set(modules) - broken.keys()


def _finding(python: str, look: str) -> Path:
    """Where it is kept what was found of these files."""
    seen = f"{python}\0{look}"
    digest = hashlib.sha256(seen.encode())
    key = digest.hexdigest()[:24]
    return cache_dir() / "imports" / f"{key}.json"


def _sentence(broken: dict[str, str]) -> str:
    parts = []
    for name, why in broken.items():
        parts.append(f"cannot import {name} ({why})")
    return "; ".join(parts)


def _look(python: str, modules: tuple[str, ...]) -> str | None:
    """The modules' files with sizes and times, not imported; `NAME -` for one not there."""
    try:
        run = subprocess.run(
            [python, "-c", _LOOK, *modules],
            capture_output=True,
            text=True,
            timeout=LOOK_TIMEOUT_S,
            check=True,
            cwd=Path(python).parent,  # never what lies in the user's folder
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return run.stdout


_NO_FINDING = (OSError, subprocess.SubprocessError, ValueError, IndexError)
"""What comes of a process that cannot be started, ends, hangs or says something else."""


def _import(
    python: str,
    modules: tuple[str, ...],
    variables: Mapping[str, str],
) -> dict[str, str]:
    """Module -> why it cannot be imported."""
    try:
        return _broken(python, modules, variables)
    except subprocess.CalledProcessError as error:
        said = error.stderr or ""
        lines = said.strip().splitlines()
        last = "".join(lines[-1:])
        return {modules[0]: f"it ends with {error.returncode}: {last}"}
    except _NO_FINDING as error:
        return {modules[0]: str(error)}


def _broken(
    python: str,
    modules: Collection[str],
    variables: Mapping[str, str],
) -> dict[str, str]:
    """The same, as the process says it.

    Raises: one of _NO_FINDING.
    """
    run = subprocess.run(
        [python, "-c", _IMPORT, *modules],
        capture_output=True,
        text=True,
        timeout=IMPORT_TIMEOUT_S,
        check=True,
        cwd=Path(python).parent,
        env={**os.environ, **variables},
    )
    last_line = run.stdout.splitlines()[-1]
    return dict(json.loads(last_line))
