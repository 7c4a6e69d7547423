"""Which tensors of a GGUF file do the same in neighbouring layers."""

import re
from collections import defaultdict
from typing import NamedTuple

LAYER = re.compile(r"\.(\d+)\.")


class Group(NamedTuple):
    """Tensors of one role, of some layers that follow one another."""

    name: str
    tensors: list[str]


def groups_of(names: list[str], *, most: int) -> list[Group]:
    """At most so many, unless there are more roles: as few layers together as that allows."""
    together = 1
    groups = _grouped(names, together)
    while len(groups) > most and together < len(names):
        together += 1
        groups = _grouped(names, together)
    return groups


def _grouped(names: list[str], together: int) -> list[Group]:
    found = defaultdict(list)
    for name in names:
        band = _layer(name) // together * together
        found[f"{role_of(name)} from {band} by {together}"].append(name)
    return [Group(name, tensors) for name, tensors in found.items()]


def role_of(name: str) -> str:
    """`blk.7.attn_q.weight` is `blk.*.attn_q.weight`; a tensor outside of layers is itself."""
    return LAYER.sub(".*.", name, count=1)


def _layer(name: str) -> int:
    match = LAYER.search(name)
    if match is None:
        return 0
    return int(match[1])
