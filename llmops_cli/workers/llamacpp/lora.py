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

from _shared.protocol import Events, JobError, run_worker
from _shared.safetensors import TensorFile, open_file
from llamacpp.convert import interleave

WEIGHT = re.compile(
    r"(?:base_model\.model\.)?(?P<module>.+)\.lora_(?P<side>[AB])(?:\.default)?\.weight"
)


def read_config(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / "adapter_config.json").read_text())
    except (OSError, ValueError) as error:
        raise JobError(
            "UsageError",
            f"{folder} is no PEFT adapter: {error}",
            "a folder with adapter_config.json",
        ) from error
    if config.get("peft_type", "LORA") != "LORA" or config.get("use_dora"):
        raise JobError(
            "UsageError",
            f"{folder} is a {config.get('peft_type')} adapter; llama.cpp takes plain LoRA",
        )
    return dict(config)


def scale_of(config: dict[str, Any], module: str, rank: int) -> float:
    """What PEFT multiplies B A by. `alpha_pattern` names modules by the end of their path."""
    patterns = config.get("alpha_pattern") or {}
    alpha = next(
        (value for key, value in patterns.items() if re.fullmatch(rf"(.*\.)?({key})", module)),
        config["lora_alpha"],
    )
    return float(alpha) / (math.sqrt(rank) if config.get("use_rslora") else rank)


def paired(folder: Path) -> dict[str, dict[str, TensorFile]]:
    """Module -> its A and B."""
    path = folder / "adapter_model.safetensors"
    if not path.is_file():
        raise JobError(
            "UsageError",
            f"{folder} has no adapter_model.safetensors",
            "save the adapter as safetensors",
        )
    pairs: dict[str, dict[str, TensorFile]] = {}
    for name, tensor in open_file(path).items():
        match = WEIGHT.fullmatch(name)
        if match is None:
            raise JobError(
                "UsageError",
                f"{path}: llama.cpp has no place for '{name}'",
                "adapters of linear layers only",
            )
        pairs.setdefault(match["module"], {})[match["side"]] = tensor
    for module, sides in pairs.items():
        if set(sides) != {"A", "B"}:
            raise JobError(
                "UsageError", f"{path}: {module} has no lora_{'B' if 'A' in sides else 'A'}"
            )
    return pairs


def whole(tensor: TensorFile) -> np.ndarray:
    return np.concatenate([block.astype(np.float32) for block in tensor.read_blocks()])


def convert(given: dict[str, Any], events: Events) -> dict[str, Any]:
    folder = Path(given["adapter"])
    base = gguf.GGUFReader(given["base"])
    config = read_config(folder)
    pairs = paired(folder)

    def field(name: str) -> Any:
        found = base.get_field(name)
        return None if found is None else found.contents()

    arch = str(field("general.architecture"))
    numbers = {name: number for number, name in gguf.MODEL_ARCH_NAMES.items()}
    names = gguf.get_tensor_name_map(numbers[arch], int(field(f"{arch}.block_count")))
    shapes = {tensor.name: tuple(int(n) for n in reversed(tensor.shape)) for tensor in base.tensors}
    alpha = float(config["lora_alpha"])
    writer = gguf.GGUFWriter(given["target"], arch)
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, alpha)
    for done, (module, sides) in enumerate(sorted(pairs.items())):
        name = names.get_name(f"{module}.weight", try_suffixes=(".weight",))
        if name not in shapes:
            raise JobError("UsageError", f"{folder}: the model has no tensor for {module}")
        a_RI = whole(sides["A"])
        b_OR = whole(sides["B"])
        if (b_OR.shape[0], a_RI.shape[1]) != shapes[name]:
            raise JobError(
                "UsageError",
                f"{folder}: {module} is {b_OR.shape[0]} x {a_RI.shape[1]}, the model's {name} {shapes[name]}",
                "the adapter belongs to another model",
            )
        rank = a_RI.shape[0]
        b_OR = b_OR * np.float32(
            scale_of(config, module, rank) * rank / alpha
        )  # llama.cpp multiplies by alpha / rank
        if arch == "llama" and module.endswith(("q_proj", "k_proj")):
            heads = int(
                field(f"{arch}.attention.head_count{'_kv' if module.endswith('k_proj') else ''}")
            )
            b_OR = interleave(b_OR, heads)
        writer.add_tensor(f"{name}.lora_a", a_RI)
        writer.add_tensor(f"{name}.lora_b", np.ascontiguousarray(b_OR))
        events.progress("converting the adapter", done + 1, len(pairs))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return {"modules": len(pairs)}


if __name__ == "__main__":
    run_worker(convert)
