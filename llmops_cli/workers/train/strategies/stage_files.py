"""A model in stages as Hugging Face's files: each stage's ranks write its own, one index."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, distributed
from torch.distributed.device_mesh import DeviceMesh

from train.ranks import Ranks
from train.strategies.line import DATA, PIPELINE
from train.weights_file import (
    FILE_BYTES,
    WeightsFile,
    file_name,
    plan,
    size_bytes_of,
    write_beside,
    write_index,
)


class Written(NamedTuple):
    """What the ranks of one pipeline place write: tensors by file, in order."""

    place: int
    files: tuple[tuple[str, ...], ...]
    size_bytes: int


def save_stages(
    weights: Mapping[str, Tensor],
    folder: Path,
    ranks: Ranks,
    mesh: DeviceMesh,
    dtype: torch.dtype,
) -> None:
    """Every rank must call it with its own weights; other places of the line have other names."""
    folder.mkdir(parents=True, exist_ok=True)
    copies = mesh.size(1)
    planned = plan(weights, world_size=copies, dtype=dtype, file_bytes=FILE_BYTES)
    own = Written(
        mesh.get_local_rank(PIPELINE),
        tuple(file.tensors for file in planned),
        sum(size_bytes_of(weight, dtype) for weight in weights.values()),
    )
    everything = _places(own, ranks)
    total = sum(len(written.files) for written in everything)
    before = sum(len(written.files) for written in everything[: own.place])
    files = [
        WeightsFile(file_name(before + number, total), file.tensors, file.writer)
        for number, file in enumerate(planned)
    ]
    among_copies = ranks._replace(rank=mesh.get_local_rank(DATA), world_size=copies)
    for first in range(0, len(files), copies):
        write_beside(files[first : first + copies], weights, folder, among_copies, dtype)
    if ranks.is_first:
        _write_index(everything, total, folder)
    distributed.barrier()


def _places(own: Written, ranks: Ranks) -> list[Written]:
    """What each place of the line writes, in order; the copies of a place say the same."""
    found: list[Any] = [None] * ranks.world_size
    distributed.all_gather_object(found, own)
    by_place = {written.place: written for written in found}
    return [by_place[place] for place in sorted(by_place)]


def _write_index(everything: list[Written], total: int, folder: Path) -> None:
    names = [tensors for written in everything for tensors in written.files]
    places: dict[str, str] = {}
    for number, tensors in enumerate(names):
        places |= dict.fromkeys(tensors, file_name(number, total))
    write_index(folder, places, sum(written.size_bytes for written in everything))
