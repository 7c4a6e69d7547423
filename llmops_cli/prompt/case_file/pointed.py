"""`file://...` in a file of cases: what may be read, and what is code and is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeGuard

from llmops_cli.core.errors import UsageError
from llmops_cli.prompt.case_file.findings import Findings
from llmops_cli.prompt.case_file.lined import Where, read_lined
from llmops_cli.runtime.rows import read_text

SCHEME = "file://"
STRUCTURED = (".json", ".yaml", ".yml")
CODE = (".js", ".cjs", ".mjs", ".ts", ".cts", ".mts", ".py", ".rb", ".go")


def is_pointer(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and value.startswith(SCHEME)


def place_of(pointer: str, where: Where, findings: Findings) -> Path:
    """Beside the file that points to it, else, as promptfoo has it, beside the suite itself."""
    name = pointer.removeprefix(SCHEME)
    beside = where.path.parent / name
    beside_suite = findings.path.parent / name
    return beside if beside.exists() or not beside_suite.exists() else beside_suite


def is_code(pointer: str) -> bool:
    """Such as `file://check.py:judge`."""
    name = pointer.removeprefix(SCHEME)
    return any(name.endswith(suffix) or f"{suffix}:" in name for suffix in CODE)


def read_pointed(pointer: str, where: Where, findings: Findings) -> Any:  # Any: YAML, or a text
    """A structured file's value, another one's text; None for code, which is told.

    Raises: UsageError for a file that is not there.
    """
    if is_code(pointer):
        findings.leave_out(where, f"{pointer} is code, which is not run")
        return None
    path = place_of(pointer, where, findings)
    findings.files.append(path)
    if path.suffix in STRUCTURED:
        return read_lined(path)
    return read_plain(path, where)


def read_plain(path: Path, where: Where) -> str:
    """A text without the space around it. Raises: UsageError for a file that is not there."""
    try:
        return read_text(path).strip()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise UsageError(f"{where}: no file {path}", hint="a path from the cases' folder") from None


def pointed_files(pointer: str, where: Where, findings: Findings) -> list[Path]:
    """The files of a pattern, in one of the two places. Raises: UsageError for none."""
    name = pointer.removeprefix(SCHEME)
    if not any(mark in name for mark in "*?["):
        return [place_of(pointer, where, findings)]
    pattern = Path(name)
    within = str(pattern.relative_to(pattern.anchor))
    places = [where.path.parent, findings.path.parent]
    for root in [Path(pattern.anchor)] if pattern.is_absolute() else places:
        found = sorted(root.glob(within))
        if found:
            return found
    raise UsageError(f"{where}: no file matches {name}")
