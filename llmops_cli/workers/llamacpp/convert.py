"""Hugging Face folder -> GGUF (F16, BF16 or F32), a block of rows in memory at a time. Needs numpy
and gguf.

Shapes: O output rows, I input columns, H heads. Facts per architecture follow llama.cpp's own
converter (conversion/*.py of llama.cpp), so that both write the same tensors and keys.
"""

import json
import math
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from _shared.protocol import Events, JobError, peak_rss_bytes, run_worker
from _shared.safetensors import ITEM_BYTES, TensorFile, open_model
from llamacpp.vocabulary import add_vocab

Config = dict[str, Any]
QT = gguf.GGMLQuantizationType
OUT_TYPES = {
    "F16": (QT.F16, gguf.LlamaFileType.MOSTLY_F16),
    "BF16": (QT.BF16, gguf.LlamaFileType.MOSTLY_BF16),
    "F32": (QT.F32, gguf.LlamaFileType.ALL_F32),
}
# architecture in config.json -> (GGUF architecture, rotary halves are interleaved, norms store
# weight - 1)
ARCHITECTURES = {
    "LlamaForCausalLM": (gguf.MODEL_ARCH.LLAMA, True, False),
    "MistralForCausalLM": (gguf.MODEL_ARCH.LLAMA, True, False),
    "Qwen2ForCausalLM": (gguf.MODEL_ARCH.QWEN2, False, False),
    "Qwen3ForCausalLM": (gguf.MODEL_ARCH.QWEN3, False, False),
    "Phi3ForCausalLM": (gguf.MODEL_ARCH.PHI3, False, False),
    "Gemma2ForCausalLM": (gguf.MODEL_ARCH.GEMMA2, False, True),
    "Gemma3ForCausalLM": (gguf.MODEL_ARCH.GEMMA3, False, True),
    "Gemma3ForConditionalGeneration": (gguf.MODEL_ARCH.GEMMA3, False, True),
}
GEMMA = (gguf.MODEL_ARCH.GEMMA2, gguf.MODEL_ARCH.GEMMA3)
SLIDING_PATTERN = {gguf.MODEL_ARCH.GEMMA2: 2, gguf.MODEL_ARCH.GEMMA3: 6}
F16_MAX = 65504.0


class BeyondF16(Exception):
    """A tensor whose values overflow F16; the conversion starts again with that tensor in F32."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class Planned:
    """One GGUF tensor: where its rows come from and how they change on the way."""

    def __init__(
        self,
        name: str,
        source: TensorFile | np.ndarray,
        qtype: QT,
        *,
        heads: int = 0,
        add: float = 0.0,
    ) -> None:
        self.name = name
        self.source = source
        self.qtype = qtype
        self.heads = heads
        self.add = add

    @property
    def shape(self) -> tuple[int, ...]:
        return self.source.shape

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * (4 if self.qtype == QT.F32 else 2)

    def blocks(self) -> Iterator[np.ndarray]:
        """The final bytes, a block of rows at a time."""
        if isinstance(self.source, np.ndarray):
            yield self.source
            return
        rows = self.shape[0] // self.heads if self.heads else 1
        one_piece = len(self.shape) == 1 and self.heads > 0
        for block in self.source.read_blocks(rows_multiple=rows if len(self.shape) > 1 else 1):
            if self.heads:
                block = interleave(block, self.heads if one_piece else block.shape[0] // rows)
            if self.add:
                block = block.astype(np.float32) + np.float32(self.add)
            yield encode(block, self.qtype, self.name)


def interleave(block_OI: np.ndarray, heads: int) -> np.ndarray:
    """Hugging Face keeps the two rotary halves of a head apart; llama.cpp wants them
    interleaved.
    """
    rows = block_OI.shape[0] // heads // 2
    return (
        block_OI.reshape(heads, 2, rows, *block_OI.shape[1:]).swapaxes(1, 2).reshape(block_OI.shape)
    )


def encode(block: np.ndarray, qtype: QT, name: str) -> np.ndarray:
    if qtype == QT.F32:
        return np.ascontiguousarray(block, np.float32)
    if qtype == QT.BF16:
        return gguf.quants.quantize(np.ascontiguousarray(block, np.float32), QT.BF16)
    if block.dtype == np.float16:
        return np.ascontiguousarray(block)
    with np.errstate(over="ignore"):
        half = np.ascontiguousarray(block).astype(np.float16)
    if not np.isfinite(half).all():
        if not np.isfinite(block).all():
            raise JobError(
                "UsageError",
                f"tensor {name} has NaN or infinite values",
                "the checkpoint is broken",
            )
        raise BeyondF16(name)
    return half


def text_config(folder: Path) -> tuple[Config, str]:
    """config.json (its text part for multimodal models) and its architecture."""
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text())
    except FileNotFoundError:
        raise JobError(
            "UsageError", f"{folder} has no config.json", "pass a Hugging Face model folder"
        ) from None
    except ValueError:
        raise JobError("UsageError", f"{path} is not JSON", "download it again") from None
    arch = (config.get("architectures") or ["(none)"])[0]
    if arch not in ARCHITECTURES:
        raise JobError(
            "UsageError",
            f"architecture '{arch}' has no GGUF converter here; known: {', '.join(ARCHITECTURES)}",
            "convert with llama.cpp's convert_hf_to_gguf.py, then pass the .gguf file as MODEL",
        )
    if config.get("quantization_config"):
        raise JobError("UsageError", f"{folder} is already quantized", "pass the original model")
    return {**config, **config.get("text_config", {})}, arch


def rope_of(config: Config) -> Config:
    """Rotary parameters of the (global) layers, from either generation of config.json."""
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    rope = dict(rope.get("full_attention", rope))
    rope.setdefault("rope_theta", config.get("rope_theta", 10000.0))
    rope["rope_type"] = rope.get("rope_type") or rope.get("type") or "default"
    return rope


def add_hparams(writer: gguf.GGUFWriter, config: Config, model_arch: gguf.MODEL_ARCH) -> None:
    heads = config["num_attention_heads"]
    head_dim = config.get("head_dim") or config["hidden_size"] // heads
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(config.get("num_key_value_heads") or heads)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    if head_dim * heads != config["hidden_size"] or model_arch in GEMMA:
        writer.add_key_length(head_dim)
        writer.add_value_length(head_dim)
    writer.add_rope_dimension_count(int(head_dim * config.get("partial_rotary_factor", 1.0)))
    add_rope(writer, config, model_arch)
    if model_arch in GEMMA:
        check_gemma(config, model_arch, head_dim)
        for key, add in (
            ("attn_logit_softcapping", writer.add_attn_logit_softcapping),
            ("final_logit_softcapping", writer.add_final_logit_softcapping),
        ):
            if config.get(key):
                add(config[key])
        writer.add_sliding_window(config["sliding_window"])
    elif model_arch == gguf.MODEL_ARCH.PHI3:
        writer.add_sliding_window(config.get("sliding_window") or 0)
        original = rope_of(config).get("original_max_position_embeddings") or config.get(
            "original_max_position_embeddings"
        )
        writer.add_rope_scaling_orig_ctx_len(original or config["max_position_embeddings"])


def check_gemma(config: Config, model_arch: gguf.MODEL_ARCH, head_dim: int) -> None:
    """llama.cpp fixes these in code, so a model that differs would run wrong without a word."""
    pattern = SLIDING_PATTERN[model_arch]
    layers = config.get("layer_types")
    wanted = [(i + 1) % pattern == 0 for i in range(config["num_hidden_layers"])]
    if layers and [kind == "full_attention" for kind in layers] != wanted:
        raise JobError(
            "UsageError",
            f"llama.cpp wants full attention in every {pattern}th layer; this model differs",
        )
    scalar = config.get("query_pre_attn_scalar", head_dim)
    if scalar not in (head_dim, config["hidden_size"] // config["num_attention_heads"]):
        raise JobError(
            "UsageError",
            f"query_pre_attn_scalar {scalar} is not what llama.cpp assumes ({head_dim})",
        )
    if model_arch == gguf.MODEL_ARCH.GEMMA3 and (config.get("attn_logit_softcapping") is not None):
        raise JobError("UsageError", "attn_logit_softcapping is not supported for Gemma 3")


def add_rope(writer: gguf.GGUFWriter, config: Config, model_arch: gguf.MODEL_ARCH) -> None:
    rope = rope_of(config)
    kind = rope["rope_type"]
    writer.add_rope_freq_base(float(rope["rope_theta"]))
    if model_arch == gguf.MODEL_ARCH.GEMMA3:
        local = (config.get("rope_parameters") or {}).get("sliding_attention", {})
        writer.add_rope_freq_base_swa(
            float(local.get("rope_theta", config.get("rope_local_base_freq", 10000.0)))
        )
    if kind == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["factor"])
    elif kind == "yarn":
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(rope["factor"])
        writer.add_rope_scaling_orig_ctx_len(
            rope.get("original_max_position_embeddings") or config["max_position_embeddings"]
        )
        for keys, add in (
            (("attention_factor", "attn_factor"), writer.add_rope_scaling_yarn_attn_factor),
            (("beta_fast",), writer.add_rope_scaling_yarn_beta_fast),
            (("beta_slow",), writer.add_rope_scaling_yarn_beta_slow),
        ):
            value = next((rope[key] for key in keys if rope.get(key) is not None), None)
            if value is not None:
                add(value)
    elif kind in ("su", "longrope"):
        writer.add_rope_scaling_type(gguf.RopeScalingType.LONGROPE)
        original = (
            rope.get("original_max_position_embeddings")
            or config["original_max_position_embeddings"]
        )
        scale = config["max_position_embeddings"] / original
        writer.add_rope_scaling_attn_factors(
            math.sqrt(1 + math.log(scale) / math.log(original)) if scale > 1 else 1.0
        )
    elif kind not in ("default", "llama3"):
        raise JobError(
            "UsageError",
            f"rope scaling '{kind}' is not supported",
            "known: linear, llama3, longrope, yarn",
        )


def rope_tensors(config: Config) -> Iterator[tuple[str, np.ndarray]]:
    """Frequency factors that llama.cpp reads as tensors: llama3 and longrope."""
    rope = rope_of(config)
    dim = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    if rope["rope_type"] == "llama3":
        frequency = 1.0 / rope["rope_theta"] ** (np.arange(0, dim, 2, dtype=np.float32) / dim)
        wavelength = 2 * math.pi / frequency
        old, low, high = (
            rope[k]
            for k in ("original_max_position_embeddings", "low_freq_factor", "high_freq_factor")
        )
        smooth = (old / wavelength - low) / (high - low)
        factors = 1 / ((1 - smooth) / rope["factor"] + smooth)
        factors = np.where(
            wavelength < old / high, 1.0, np.where(wavelength > old / low, rope["factor"], factors)
        )
        yield "rope_freqs.weight", factors.astype(np.float32)
    elif rope["rope_type"] in ("su", "longrope"):
        for length in ("long", "short"):
            yield f"rope_factors_{length}.weight", np.array(rope[f"{length}_factor"], np.float32)


def plan_tensors(
    config: Config, arch: str, tensors: dict[str, TensorFile], out: QT, wide: set[str]
) -> list[Planned]:
    """Every tensor of the GGUF file in order, with its type; nothing is read yet."""
    model_arch, interleaved, norm_plus_one = ARCHITECTURES[arch]
    names = gguf.get_tensor_name_map(model_arch, config["num_hidden_layers"])
    planned = [Planned(name, array, QT.F32) for name, array in rope_tensors(config)]
    tied = config.get("tie_word_embeddings", model_arch in GEMMA)
    for source_name, tensor in tensors.items():
        plain = re.sub(r"^(language_model\.model\.|model\.language_model\.)", "model.", source_name)
        if plain.endswith("rotary_emb.inv_freq") or re.match(
            r"(vision_tower|multi_modal_projector|model\.vision)", plain
        ):
            continue
        if plain.endswith("lm_head.weight") and tied:
            continue
        name = names.get_name(plain, try_suffixes=(".weight", ".bias"))
        if name is None:
            raise JobError(
                "UsageError",
                f"tensor '{source_name}' has no place in a {model_arch.name} GGUF file",
            )
        if tensor.dtype not in ITEM_BYTES:
            raise JobError(
                "UsageError",
                f"tensor '{source_name}' is {tensor.dtype}",
                "bf16, f16 and f32 are read",
            )
        heads = 0
        if interleaved and "q_proj." in plain:
            heads = config["num_attention_heads"]
        elif interleaved and "k_proj." in plain:
            heads = config.get("num_key_value_heads") or config["num_attention_heads"]
        qtype = QT.F32 if len(tensor.shape) == 1 or name in wide else out
        add = 1.0 if norm_plus_one and plain.endswith("norm.weight") else 0.0
        planned.append(Planned(name, tensor, qtype, heads=heads, add=add))
    if not any(p.name == "token_embd.weight" for p in planned):
        raise JobError(
            "UsageError",
            "the weights hold no token embeddings",
            "the checkpoint is incomplete; download it again",
        )
    return planned


def convert(
    folder: Path, out_path: Path, scheme: str, wide: set[str], events: Events
) -> dict[str, Any]:
    config, arch = text_config(folder)
    qtype, file_type = OUT_TYPES[scheme]
    model_arch = ARCHITECTURES[arch][0]
    planned = plan_tensors(config, arch, open_model(folder), qtype, wide)
    total = sum(p.nbytes for p in planned)
    writer = gguf.GGUFWriter(out_path, gguf.MODEL_ARCH_NAMES[model_arch], use_temp_file=False)
    writer.add_name(folder.resolve().name)
    add_hparams(writer, config, model_arch)
    writer.add_file_type(file_type)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    add_vocab(
        writer,
        folder,
        vocab_size=config["vocab_size"],
        space_prefix=False if model_arch in GEMMA else None,
    )
    for p in planned:
        byte_shape = (*p.shape[:-1], p.shape[-1] * 2)
        if p.qtype == QT.BF16:
            writer.add_tensor_info(
                p.name, byte_shape, np.dtype(np.uint8), p.nbytes, raw_dtype=QT.BF16
            )
        else:
            dtype = np.dtype(np.float32 if p.qtype == QT.F32 else np.float16)
            writer.add_tensor_info(p.name, p.shape, dtype, p.nbytes)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    file = writer.fout[0]
    done = 0
    for p in planned:
        writer.write_padding(file, file.tell())
        for block in p.blocks():
            block.tofile(file) if block.flags.c_contiguous else np.ascontiguousarray(block).tofile(
                file
            )
            done += block.nbytes
            events.progress("converting", done, total, unit="bytes")
        writer.write_padding(file, p.nbytes)
    file.flush()
    os.fsync(file.fileno())
    writer.close()
    return {
        "parameters": sum(math.prod(p.shape) for p in planned),
        "tensor_bytes": total,
        "wide_tensors": sorted(wide),
    }


def work(job: dict[str, Any], events: Events) -> dict[str, Any]:
    cpu_start = time.process_time()
    baseline = peak_rss_bytes()
    folder = Path(job["model"])
    out = Path(job["output"])
    wide: set[str] = set()
    attempt: Callable[[], dict[str, Any]] = lambda: convert(
        folder, out, job["scheme"], wide, events
    )  # noqa: E731
    while True:
        try:
            result = attempt()
            break
        except BeyondF16 as overflow:
            wide.add(overflow.name)
    return {
        **result,
        "cpu_s": time.process_time() - cpu_start,
        "import_rss_bytes": baseline,
        "peak_rss_bytes": peak_rss_bytes(),
    }


if __name__ == "__main__":
    run_worker(work)
