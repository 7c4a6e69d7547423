"""Secrets that stand in rendered files: whoever reads a manifest, or its history, has them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from llmops_cli.deploy.lint.finding import Finding
from llmops_cli.guard.secret_lines import secret_lines

FILE_BYTES_MOST = 4 << 20
"""A larger one is none of ours."""


def written_secrets(folder: Path, below: tuple[str, ...]) -> Iterator[Finding]:
    for name in below:
        for path in sorted((folder / name).rglob("*")):
            yield from _in_file(path, path.relative_to(folder).as_posix())


def _in_file(path: Path, name: str) -> Iterator[Finding]:
    try:
        if not path.is_file() or path.stat().st_size > FILE_BYTES_MOST:
            return
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return
    for found in secret_lines(text):
        message = f"line {found.line}: {found.what} stands here; a Secret should hold it"
        yield Finding(file=name, rule="written secret", message=message)
