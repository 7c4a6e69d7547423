"""Which parts of a model a quantized folder has weights for, beside those of its original.

Libraries keep one weight as several tensors, so names are compared up to the module that they are
of. Experts may be kept one by one or fused, and towers for images and sound may stay behind.
"""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from llmops_cli.models.tensors import tensors_of

PART = re.compile(
    r"\.(?:q?weight|bias|q?zeros|scales|g_idx|_?(?:weight|input|output)_\w+|[qkv]_scale\w*)\b.*$"
)
"""From the name of a module on: model.layers.0.mlp.up_proj[.weight_packed]."""
EXPERTS = re.compile(r"\.experts\b.*$")
TOWERS = re.compile(r"vision|visual|image|audio|multi_modal|\bmtp\b")
PREFIXES = ("model.language_model.", "language_model.model.", "model.")
HEAD = "lm_head"
"""Tied to the embeddings or not, as the library likes."""


class NamesBeside(msgspec.Struct, frozen=True, kw_only=True):
    """Modules of the original that the copy lacks, and such as only the copy has."""

    missing: tuple[str, ...]
    unexpected: tuple[str, ...]


def names_beside(original: Path, copy: Path) -> NamesBeside | None:
    """None for a copy that keeps no safetensors."""
    ours = modules_of(copy)
    if not ours:
        return None
    theirs = modules_of(original)
    missing = theirs - ours - {HEAD}
    unexpected = [name for name in ours - theirs if name != HEAD and not _is_around(name, theirs)]
    return NamesBeside(missing=tuple(sorted(missing)), unexpected=tuple(sorted(unexpected)))


def modules_of(folder: Path) -> set[str]:
    found = set()
    for tensor in tensors_of(folder):
        if TOWERS.search(tensor.name):
            continue
        module = EXPERTS.sub(".experts", PART.sub("", tensor.name))
        for prefix in PREFIXES:
            if module.startswith(prefix):
                module = module.removeprefix(prefix)
                break
        found.add(module)
    return found


def _is_around(name: str, modules: set[str]) -> bool:
    """Whether it is a module that holds others, to which a cache's scales belong."""
    return any(module.startswith(f"{name}.") for module in modules)
