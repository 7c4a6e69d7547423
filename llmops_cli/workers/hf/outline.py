"""A model by its shapes alone, and how its weights on disk fit it: nothing is read but headers."""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from _shared.protocol import JobError
from _shared.safetensors import open_model
from hf.dequantized import plain_shapes, without_quantization
from hf.refusals import REFUSALS

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
REPAIR = "download or make the model again"


RELICS = (".masked_bias", ".attn.bias", ".rotary_emb.inv_freq")
"""Ends of names of constants that older releases saved and no release reads."""
EXPERT = re.compile(r"(.*\.experts\.)(\d+)(\..*)")


@dataclass(frozen=True)
class Outline:
    """`model` has no weights, only shapes; the names are those that Transformers tells."""

    model: Any
    missing: list[str]
    unexpected: list[str]
    mismatched: list[str]


def outline_of(folder: Path) -> Outline:
    """What loading the folder would find. Raises: JobError if Transformers knows no such model."""
    auto: Any = AutoModelForCausalLM  # its methods have no types
    try:
        tensors = shapes_of(folder)
        _require_all_experts(tensors, folder)
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        without_quantization(config)
        with torch.device("meta"):
            blank = auto.from_config(config, trust_remote_code=False)
        loaded: Any = type(blank).from_pretrained(
            None,
            config=config,
            state_dict=plain_shapes(tensors),
            device_map="meta",
            output_loading_info=True,
            ignore_mismatched_sizes=True,
        )
    except REFUSALS as error:
        (reason, *_) = f"{type(error).__name__}: {error}".splitlines()
        message = f"Transformers cannot read {folder}: {reason[:300]}"
        raise JobError("UsageError", message) from error
    model, found = loaded
    return Outline(
        model=model,
        missing=sorted(found["missing_keys"]),
        unexpected=sorted(name for name in found["unexpected_keys"] if not name.endswith(RELICS)),
        mismatched=sorted(name for name, *_ in found["mismatched_keys"]),
    )


def shapes_of(folder: Path) -> dict[str, torch.Tensor]:
    """What lies on disk, without values. Raises: JobError for files that are not whole."""
    found: dict[str, torch.Tensor] = {}
    pickles = _pickles(folder)
    if pickles:
        for path in pickles:
            found |= torch.load(path, map_location="meta", weights_only=True)
        return found
    for name, place in open_model(folder).items():
        dtype = DTYPES.get(place.dtype, torch.float32)
        found[name] = torch.empty(place.shape, dtype=dtype, device="meta")
    return found


def _require_all_experts(names: Iterable[str], folder: Path) -> None:
    """Raises: JobError if an expert lacks what others of its layer have: none could be merged."""
    having: dict[tuple[str, str], set[str]] = defaultdict(set)
    known: dict[str, set[str]] = defaultdict(set)
    for name in names:
        match = EXPERT.fullmatch(name)
        if match:
            before, number, after = match.groups()
            having[before, after].add(number)
            known[before].add(number)
    lacking = []
    for (before, after), numbers in having.items():
        absent = known[before] - numbers
        lacking += [f"{before}{number}{after}" for number in absent]
    if lacking:
        what = f"lack {_some(sorted(lacking))} that other experts have"
        raise JobError("UsageError", f"the weights in {folder} {what}", REPAIR)


def _pickles(folder: Path) -> list[Path]:
    """Older files, which Transformers reads if there are no others."""
    if any(folder.glob("*.safetensors*")):
        return []
    return sorted(folder.glob("pytorch_model*.bin"))


def require_whole(outline: Outline, folder: Path) -> None:
    """Raises: JobError for weights that would be random numbers, or that nothing would use."""
    architecture = type(outline.model).__name__
    told = (
        (outline.missing, f"lack {{}} that {architecture} needs"),
        (outline.mismatched, f"hold {{}} of other sizes than {architecture} needs by config.json"),
        (outline.unexpected, f"hold {{}} that {architecture} does not know"),
    )
    for names, words in told:
        if names:
            what = words.format(_some(names))
            raise JobError("UsageError", f"the weights in {folder} {what}", REPAIR)


def _some(names: list[str]) -> str:
    """How many, and the first."""
    if len(names) == 1:
        return f"a tensor, {names[0]},"
    return f"{len(names)} tensors, such as {names[0]},"
