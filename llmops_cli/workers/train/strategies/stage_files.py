"""A model in Hugging Face's files, one for each stage, and the index that joins them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor, distributed


def save_stage(weights: Mapping[str, Tensor], folder: Path) -> None:
    """Every rank must call it with its own weights, whose names no other rank has."""
    folder.mkdir(parents=True, exist_ok=True)
    rank = distributed.get_rank()
    count = distributed.get_world_size()
    file = f"model-{rank + 1:05d}-of-{count:05d}.safetensors"
    whole = {name: weight.contiguous().cpu() for name, weight in weights.items()}
    save_file(whole, folder / file, metadata={"format": "pt"})
    sizes_bytes = {name: weight.nbytes for name, weight in whole.items()}
    found: list[Any] = [None] * count
    distributed.all_gather_object(found, (file, sizes_bytes))
    if rank == 0:
        _write_index(folder, dict(found))
    distributed.barrier()


def _write_index(folder: Path, files: dict[str, dict[str, int]]) -> None:
    places = {name: file for file, sizes_bytes in files.items() for name in sizes_bytes}
    total_bytes = sum(sum(sizes_bytes.values()) for sizes_bytes in files.values())
    index = {"metadata": {"total_size": total_bytes}, "weight_map": dict(sorted(places.items()))}
    path = folder / "model.safetensors.index.json"
    path.write_text(json.dumps(index, indent=2) + "\n")
