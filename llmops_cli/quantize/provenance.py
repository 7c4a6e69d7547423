"""What an artifact was made from, what that cost, and what was measured: it lies beside a file, or
in a folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from llmops_cli.quantize.report import Served
from llmops_cli.runtime.files import to_json, write_atomic


class Provenance(msgspec.Struct, frozen=True, kw_only=True):
    """`key` is over everything that went in: an artifact with another key is made again."""

    key: str
    digest: str
    size_bytes: int
    bits_per_weight: float
    cpu_s: float
    wall_s: float
    peak_rss_bytes: int | None
    source: str = ""
    source_digest: str = ""
    recipe: dict[str, Any] = {}  # Any: the variant's fields
    versions: dict[str, str] = {}
    calibration: dict[str, Any] | None = None  # Any: the worker's own figures
    imatrix: str = "none"
    fallback_tensors: int = 0
    quality: dict[str, float] = {}
    quality_key: str = ""
    served: Served | None = None
    problems: list[str] = []


def read_provenance(path: Path) -> Provenance | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Provenance)
    except (OSError, msgspec.DecodeError):
        return None


def write_provenance(path: Path, provenance: Provenance) -> None:
    write_atomic(path, to_json(provenance))
