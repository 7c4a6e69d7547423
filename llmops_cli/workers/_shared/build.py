"""Which code serves here, and which model: digests by which two deployments are told apart.

Standard library only.
"""

import hashlib
import os
from functools import cache
from pathlib import Path

DIGEST_CHARS = 12
MODEL_DIGEST = "LLMOPS_MODEL_DIGEST"
"""Whoever starts an engine knows it; the files may be too large to be read here for that."""
WORKERS = Path(__file__).parents[1]


@cache
def build_digest() -> str:
    """Of all programs beside this one, by name and content."""
    whole = hashlib.sha256()
    for file in sorted(WORKERS.rglob("*.py")):
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        whole.update(f"{file.relative_to(WORKERS).as_posix()}\0{content}\n".encode())
    return whole.hexdigest()[:DIGEST_CHARS]


def model_digest() -> str:
    """As it was given; empty where nobody did."""
    digest = os.environ.get(MODEL_DIGEST, "").removeprefix("sha256:")
    return digest[:DIGEST_CHARS]
