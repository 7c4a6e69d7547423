"""Which code this is: a digest by which two installations of one version are told apart."""

from __future__ import annotations

import hashlib

from llmops_cli.runtime.digests import digest_file
from llmops_cli.runtime.paths import PACKAGE

DIGEST_CHARS = 12
"""Of a digest that people read and compare."""


def own_build() -> str:
    """Of all modules of this package, by name and content. Takes some 50 ms."""
    whole = hashlib.sha256()
    for file in sorted(PACKAGE.rglob("*.py")):
        line = f"{file.relative_to(PACKAGE).as_posix()}\0{digest_file(file)}\n"
        whole.update(line.encode())
    return whole.hexdigest()[:DIGEST_CHARS]


def short_digest(digest: str) -> str:
    """As much of `sha256:...` as people read."""
    return digest.removeprefix("sha256:")[:DIGEST_CHARS]
