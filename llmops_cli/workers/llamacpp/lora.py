"""A PEFT LoRA adapter -> GGUF for llama.cpp. Needs numpy and gguf.

Shapes: R rank, I input columns, O output rows. The base model's GGUF says how its tensors are named
and arranged.
"""

import json
import math
import re
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from _shared.arrays import Floats
from _shared.protocol import Events, JobError, Json, run_worker
from _shared.safetensors import ITEM_BYTES, TensorFile, open_file
from llamacpp.gguf_file import GgufFile
from llamacpp.tensors import interleave

WEIGHT = re.compile(
    r"(?:base_model\.model\.)?(?P<module>.+)\.lora_(?P<side>[AB])(?:\.default)?\.weight"
)

USUAL_ALPHA = 8.0
"""PEFT's, where an adapter does not tell; llama.cpp takes 0 for no alpha at all."""

LoraSides = dict[str, TensorFile]
"""A and B of one module."""


class BaseModel:
    """What the base's GGUF says of its tensors."""

    def __init__(self, path: str) -> None:
        """Raises: JobError for an architecture that has no names of tensors here."""
        self._file = GgufFile(Path(path))
        self.architecture = self._file.architecture
        self._shapes = {name: _shape_of(each) for name, each in self._file.tensors.items()}
        numbers = {name: number for number, name in gguf.MODEL_ARCH_NAMES.items()}
        own_number = numbers.get(self.architecture)
        if own_number is None:
            message = f"{path}: adapters of '{self.architecture}' are not converted here"
            raise JobError("UsageError", message, "a GGUF adapter is taken as it is")
        self._names = gguf.get_tensor_name_map(own_number, self._file.layers())

    def tensor_of(self, module: str) -> tuple[str, tuple[int, ...]] | None:
        """The name and shape of a module's weight; None where the model has none."""
        name = self._names.get_name(f"{module}.weight", try_suffixes=(".weight",))
        if name is None or name not in self._shapes:
            return None
        return name, self._shapes[name]

    def heads_to_interleave(self, module: str) -> int:
        """0 where the rows of a module's weight stay as they are."""
        if self.architecture != "llama":
            return 0
        heads = self._file.whole("attention.head_count")
        if module.endswith("q_proj"):
            return heads
        if module.endswith("k_proj"):
            return self._file.whole("attention.head_count_kv", heads)
        return 0


def _shape_of(tensor: Any) -> tuple[int, ...]:
    """Rows first, as everywhere but in GGUF."""
    rows_first = reversed(tensor.shape)
    return tuple(int(size) for size in rows_first)


CHANGES_BASE = ("pissa", "corda", "olora", "loftq", "lora_ga")
"""How `init_lora_weights` begins where PEFT takes a part of the base's weights into the adapter.

Source: peft 0.21, tuners/lora/layer.py, update_layer.
"""
OTHER_SUMS = (
    "use_dora",
    "use_qalora",
    "use_bdlora",
    "alora_invocation_tokens",
    "layer_replication",
    "trainable_token_indices",
)
"""Fields by which an adapter is more than B A beside each weight, at each token."""


def read_config(folder: Path) -> Json:
    """Raises: JobError for an adapter that llama.cpp does not have."""
    path = folder / "adapter_config.json"
    try:
        text = path.read_text(encoding="utf-8")
        config = json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        message = f"{folder} is no PEFT adapter: {error}"
        raise JobError("UsageError", message, "a folder with adapter_config.json") from error
    if not isinstance(config, dict):
        message = f"{path} holds a {type(config).__name__} and no object"
        raise JobError("UsageError", message, "save the adapter again")
    kind = config.get("peft_type", "LORA")
    if kind != "LORA":
        message = f"{folder} is a {kind} adapter; llama.cpp takes plain LoRA"
        raise JobError("UsageError", message)
    _check(config, path)
    return config


def _check(config: Json, path: Path) -> None:
    for field in OTHER_SUMS:
        if config.get(field):
            message = f"{path}: {field}; llama.cpp takes plain LoRA"
            raise JobError("UsageError", message)
    start = config.get("init_lora_weights")
    if isinstance(start, str) and start.lower().startswith(CHANGES_BASE):
        message = f"{path}: init_lora_weights '{start}' belongs to a base whose weights it changed"
        hint = "save it as plain LoRA (path_initial_model_for_weight_conversion of PEFT)"
        raise JobError("UsageError", message, hint)
    _check_alphas(config, path)


def _check_alphas(config: Json, path: Path) -> None:
    patterns = config.get("alpha_pattern") or {}
    is_object = isinstance(patterns, dict)
    alphas = [_alpha_of(config), *(patterns.values() if is_object else ())]
    are_numbers = all(type(each) in (int, float) and math.isfinite(each) for each in alphas)
    try:
        for pattern in patterns:
            re.compile(pattern)
    except (re.error, TypeError):
        is_object = False
    if not are_numbers or not is_object:
        message = f"{path}: lora_alpha is no number, or alpha_pattern none for each module"
        raise JobError("UsageError", message, "save the adapter again")


def scale_of(
    config: Json,
    module: str,
    rank: int,
) -> float:
    """What PEFT multiplies B A by. `alpha_pattern` names modules by the end of their path."""
    alpha = _alpha_of(config)
    patterns = config.get("alpha_pattern") or {}
    for pattern, value in patterns.items():
        if re.fullmatch(rf"(.*\.)?({pattern})", module):
            alpha = value
            break
    divisor: float = rank
    if config.get("use_rslora"):
        divisor = math.sqrt(rank)
    return float(alpha) / divisor


def _alpha_of(config: Json) -> float:
    told: float | None = config.get("lora_alpha")
    return USUAL_ALPHA if told is None else told


def paired(folder: Path) -> dict[str, LoraSides]:
    """Module -> its A and B."""
    path = folder / "adapter_model.safetensors"
    if not path.is_file():
        message = f"{folder} has no adapter_model.safetensors"
        raise JobError("UsageError", message, "save the adapter as safetensors")
    pairs: dict[str, LoraSides] = {}
    tensors = open_file(path)
    for name, tensor in tensors.items():
        match = WEIGHT.fullmatch(name)
        if match is None:
            message = f"{path}: llama.cpp has no place for '{name}'"
            raise JobError("UsageError", message, "adapters of linear layers only")
        if tensor.dtype not in ITEM_BYTES:
            message = f"{path}: '{name}' is {tensor.dtype}"
            raise JobError("UsageError", message, "bf16, f16, f32 and f64 are read")
        sides = pairs.setdefault(match["module"], {})
        sides[match["side"]] = tensor
    for module, sides in pairs.items():
        for side in ("A", "B"):
            if side not in sides:
                raise JobError("UsageError", f"{path}: {module} has no lora_{side}")
    return pairs


def whole(tensor: TensorFile) -> Floats:
    """An adapter is small enough to be in memory."""
    blocks = [block.astype(np.float32) for block in tensor.read_blocks()]
    return np.concatenate(blocks)


def _check_shapes(
    sides: LoraSides,
    module: str,
    folder: Path,
) -> None:
    """Raises: JobError for sides that do not share a rank above 0."""
    shapes = (sides["A"].shape, sides["B"].shape)
    are_matrices = all(len(shape) == 2 and min(shape) > 0 for shape in shapes)
    if not are_matrices or shapes[0][0] != shapes[1][1]:
        message = f"{folder}: the sides of {module} are {shapes[0]} and {shapes[1]}"
        raise JobError("UsageError", message, "they share no rank: save the adapter again")


class AdapterWriter:
    """Writes the pairs of one adapter as llama.cpp wants them."""

    def __init__(
        self,
        folder: Path,
        base: BaseModel,
        target: str,
    ) -> None:
        self._folder = folder
        self._base = base
        self._config = read_config(folder)
        self._alpha = float(_alpha_of(self._config) or USUAL_ALPHA)
        self._writer = gguf.GGUFWriter(target, base.architecture)
        self._writer.add_type(gguf.GGUFType.ADAPTER)
        self._writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
        self._writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, self._alpha)

    def add(self, module: str, sides: dict[str, TensorFile]) -> None:
        """Raises: JobError for a module that the base model lacks or has in another shape."""
        found = self._base.tensor_of(module)
        if found is None:
            message = f"{self._folder}: the model has no tensor for {module}"
            raise JobError("UsageError", message)
        name, shape = found
        _check_shapes(sides, module, self._folder)
        a_RI = whole(sides["A"])
        b_OR = whole(sides["B"])
        if not np.isfinite(a_RI).all() or not np.isfinite(b_OR).all():
            message = f"{self._folder}: {module} has NaN or infinite values"
            raise JobError("UsageError", message, "the adapter is broken")
        rows = b_OR.shape[0]
        columns = a_RI.shape[1]
        if (rows, columns) != shape:
            raise JobError(
                "UsageError",
                f"{self._folder}: {module} is {rows} x {columns}, the model's {name} {shape}",
                "the adapter belongs to another model",
            )
        self._writer.add_tensor(f"{name}.lora_a", a_RI)
        b_arranged = self._arranged(module, b_OR)
        self._writer.add_tensor(f"{name}.lora_b", b_arranged)

    def _arranged(self, module: str, b_OR: Floats) -> Floats:
        """B with PEFT's scale in place of llama.cpp's alpha / rank, in the base's row order."""
        rank = b_OR.shape[1]
        peft_scale = scale_of(self._config, module, rank)
        scale = peft_scale * rank / self._alpha
        b_OR = b_OR * np.float32(scale)
        heads = self._base.heads_to_interleave(module)
        if heads:
            b_OR = interleave(b_OR, heads)
        return np.ascontiguousarray(b_OR)

    def finish(self) -> None:
        self._writer.write_header_to_file()
        self._writer.write_kv_data_to_file()
        self._writer.write_tensors_to_file()
        self._writer.close()


def work(job: Json, events: Events) -> Json:
    folder = Path(job["adapter"])
    base = BaseModel(job["base"])
    writer = AdapterWriter(folder, base, job["output"])
    pairs = paired(folder)
    modules = sorted(pairs)
    for done, module in enumerate(modules, 1):
        writer.add(module, pairs[module])
        events.progress("converting the adapter", done, len(pairs))
    writer.finish()
    return {"modules": len(pairs)}


if __name__ == "__main__":
    run_worker(work)
