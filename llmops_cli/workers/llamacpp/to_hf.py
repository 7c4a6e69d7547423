"""GGUF -> Hugging Face folder, every tensor dequantized, floats as they are. Needs numpy and gguf.

What quantization lost stays lost: the folder says what it went through.
"""

import json
import math
import struct
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import gguf
import numpy as np

from _shared.arrays import Array, Floats
from _shared.protocol import Events, JobError, Json, peak_rss_bytes, run_worker
from llamacpp.architectures import ARCHITECTURES as CLASSES
from llamacpp.end_tokens import KEYS
from llamacpp.expected import HEAD, expected_shapes
from llamacpp.gguf_file import GgufFile
from llamacpp.gguf_tokens import number_of, tokens_of
from llamacpp.hf_config import FREQUENCIES, config_of
from llamacpp.hf_tokenizer import tokenizer_config_of, tokenizer_of

WEIGHTS = "model.safetensors"
ARCHITECTURES = {
    "llama": gguf.MODEL_ARCH.LLAMA,
    "qwen2": gguf.MODEL_ARCH.QWEN2,
    "qwen3": gguf.MODEL_ARCH.QWEN3,
}
WOVEN = ("llama",)
"""Whose rotary halves of a head llama.cpp weaves into one another."""
MODULES = (
    "self_attn.q_proj",
    "self_attn.k_proj",
    "self_attn.v_proj",
    "self_attn.o_proj",
    "self_attn.q_norm",
    "self_attn.k_norm",
    "mlp.gate_proj",
    "mlp.up_proj",
    "mlp.down_proj",
    "input_layernorm",
    "post_attention_layernorm",
)
OUTSIDE = ("model.embed_tokens", "model.norm", "lm_head")
"""Modules outside the blocks."""
F16 = "F16"
BF16 = "BF16"
F32 = "F32"
ITEM_BYTES = {F16: 2, BF16: 2, F32: 4}
DTYPES = {F16: "float16", BF16: "bfloat16", F32: "float32"}
F16_MOST = 65504.0


class Place(NamedTuple):
    """One tensor: its name in the folder and in the file; how many heads are to be unwoven."""

    name: str
    source: str
    shape: tuple[int, ...]
    heads: int
    type: str

    @property
    def size_bytes(self) -> int:
        return math.prod(self.shape) * ITEM_BYTES[self.type]


def work(job: Json, events: Events) -> Json:
    start_s = time.process_time()
    file = GgufFile(Path(job["model"]))
    output = Path(job["output"])
    output.mkdir(parents=True)
    config = {**config_of(file), "torch_dtype": DTYPES[loaded_type(file)]}
    places = list(places_of(file, config))
    check_places(file, places, config)
    _write(output / "config.json", {**config, "llmops_source": source_of(file)})
    _write(output / "tokenizer.json", tokenizer_of(file))
    _write(output / "tokenizer_config.json", tokenizer_config_of(file))
    ends = end_tokens_of(file)
    if len(ends) > 1:
        _write(output / "generation_config.json", {"eos_token_id": ends})
    write_weights(output / WEIGHTS, file, places, events)
    return {
        "parameters": sum(math.prod(place.shape) for place in places),
        "tensor_bytes": sum(place.size_bytes for place in places),
        "cpu_s": time.process_time() - start_s,
        "peak_rss_bytes": peak_rss_bytes(),
    }


def end_tokens_of(file: GgufFile) -> list[int]:
    """Those that the file names; config.json has room for the first."""
    tokens = tokens_of(file)
    told = [number_of(file, name, tokens) for name in KEYS]
    return [number for number in dict.fromkeys(told) if number is not None]


def source_of(file: GgufFile) -> Json:
    """What the weights went through: tensors of each type."""
    types: dict[str, int] = {}
    for tensor in file.tensors.values():
        name = tensor.tensor_type.name
        types[name] = types.get(name, 0) + 1
    return {"dequantized_from": file.path.name, "tensor_types": types}


def kept_type(tensor: gguf.ReaderTensor) -> str:
    """In the folder: a float's own, and F16 for what was quantized."""
    name = str(tensor.tensor_type.name)
    return name if name in ITEM_BYTES else F16


def loaded_type(file: GgufFile) -> str:
    """What the folder's matrices become in memory: the type of most, or one that holds all."""
    weights: Counter[str] = Counter()
    for tensor in file.tensors.values():
        if len(tensor.shape) > 1:
            weights[kept_type(tensor)] += int(tensor.n_elements)
    ((most, _),) = weights.most_common(1) or [(F16, 0)]
    if most == F16 and any(is_beyond_f16(tensor) for tensor in file.tensors.values()):
        return F32
    return most


def is_beyond_f16(tensor: gguf.ReaderTensor) -> bool:
    """Whether it is a float tensor with a value that F16 cannot hold."""
    if kept_type(tensor) == F16:
        return False
    values: Floats = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
    return bool(np.abs(values).max(initial=0.0) > F16_MOST)


def places_of(file: GgufFile, config: Json) -> Iterator[Place]:
    """Every tensor of the file. Raises: JobError for one without a place."""
    layers = config["num_hidden_layers"]
    names = gguf.get_tensor_name_map(ARCHITECTURES[file.architecture], layers)
    left = dict(file.tensors)
    left.pop(FREQUENCIES, None)  # they stand in the configuration
    for module in _modules(layers):
        for part in ("weight", "bias"):
            plain = f"{module}.{part}"
            source = names.get_name(plain, try_suffixes=(".weight", ".bias"))
            tensor = left.pop(source or "", None)
            if source is None or tensor is None:
                continue
            shape = tuple(int(size) for size in reversed(tensor.shape))
            heads = _heads(file, config, module)
            yield Place(plain, source, shape, heads, kept_type(tensor))
    if left:
        message = f"{file.path}: no place in the folder for {', '.join(sorted(left)[:3])}"
        raise JobError("UsageError", message, "download the original folder")


def check_places(file: GgufFile, places: list[Place], config: Json) -> None:
    """Raises: JobError unless these are the tensors that its keys speak of."""
    (name,) = config["architectures"]
    shapes = expected_shapes(config, CLASSES[name])
    if config["tie_word_embeddings"]:
        shapes.pop(HEAD)
    for place in places:
        expected = shapes.pop(place.name, None)
        if expected != place.shape:
            told = f"{place.source} has shape {place.shape}, and its keys say {expected or 'none'}"
            raise JobError("UsageError", f"{file.path}: {told}", "download the original folder")
    if shapes:
        missing = next(iter(shapes))
        message = f"{file.path} lacks {len(shapes)} tensors, such as that of {missing}"
        raise JobError("UsageError", message, "download it again")


def _modules(layers: int) -> Iterator[str]:
    yield from OUTSIDE
    for layer in range(layers):
        for module in MODULES:
            yield f"model.layers.{layer}.{module}"


def _heads(file: GgufFile, config: Json, module: str) -> int:
    if file.architecture not in WOVEN:
        return 0
    if module.endswith("q_proj"):
        return int(config["num_attention_heads"])
    if module.endswith("k_proj"):
        return int(config["num_key_value_heads"])
    return 0


def unweave(block_OI: Array, heads: int) -> Array:
    """The two rotary halves of each head apart again, as Hugging Face keeps them."""
    shape = block_OI.shape
    rows = shape[0] // heads // 2
    woven = block_OI.reshape(heads, rows, 2, *shape[1:])
    halves = woven.swapaxes(1, 2)
    return halves.reshape(shape)


def write_weights(
    path: Path,
    file: GgufFile,
    places: list[Place],
    events: Events,
) -> None:
    """One safetensors file, a tensor in memory at a time."""
    header = _header(places)
    with path.open("wb") as out:
        out.write(struct.pack("<Q", len(header)))
        out.write(header)
        for number, place in enumerate(places, 1):
            values = _values(file, place)
            out.write(values.tobytes())
            events.progress("dequantizing", number, len(places))


def _header(places: list[Place]) -> bytes:
    entries: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    start = 0
    for place in places:
        stop = start + place.size_bytes
        entries[place.name] = {
            "dtype": place.type,
            "shape": list(place.shape),
            "data_offsets": [start, stop],
        }
        start = stop
    text = json.dumps(entries).encode()
    padding = b" " * (-len(text) % 8)
    return text + padding


def _values(file: GgufFile, place: Place) -> Array:
    tensor = file.tensors[place.source]
    try:
        flat: Floats = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
    except NotImplementedError:
        message = f"{file.path}: {place.source} is {tensor.tensor_type.name}, which is not read"
        raise JobError("UsageError", message, "download the original folder") from None
    values = flat.reshape(place.shape)
    if place.heads:
        values = unweave(values, place.heads)
    if not np.isfinite(values).all():
        message = f"{file.path}: tensor {place.source} has NaN or infinite values"
        raise JobError("UsageError", message, "the file is broken")
    if place.type == F32:
        return np.ascontiguousarray(values, np.float32)
    if place.type == BF16:
        return to_bf16(np.ascontiguousarray(values, np.float32))
    if np.abs(values).max(initial=0.0) > F16_MOST:
        message = f"{file.path}: tensor {place.source} has values that F16 cannot hold"
        raise JobError("UsageError", message, "download the original folder")
    return np.ascontiguousarray(values, np.float16)


def to_bf16(values: Floats) -> Array:
    """The upper halves, rounded to nearest even. Source: gguf-py, quants.py, BF16."""
    bits = values.view(np.uint32)
    odd = (bits >> 16) & 1
    return ((bits + 0x7FFF + odd) >> 16).astype(np.uint16)


def _write(path: Path, value: Json) -> None:
    text = json.dumps(value, ensure_ascii=False, indent=1)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    run_worker(work)
