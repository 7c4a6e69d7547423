"""What sizing says of training, beside what others have published or measured.

Usage: python benchmarks/sizing.py REFERENCES.json    a line a training row, medians by source
       python benchmarks/sizing.py --table            which strategy --dry-run takes, by size

REFERENCES.json is a list of {quantity, inputs, value, unit, source, kind, note}. Rows whose note
calls them a trap are shown and not counted. Nothing here is fitted: a row is only read into the
options that it states.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.sizing.adapters import adapter_memory
from llmops_cli.sizing.architecture import Architecture
from llmops_cli.sizing.devices import Cluster, Device, device_named
from llmops_cli.sizing.families import architecture_of
from llmops_cli.sizing.flops import training_days, training_flops
from llmops_cli.sizing.layout import Layout
from llmops_cli.sizing.memory import device_memory
from llmops_cli.sizing.parameters import parameter_count
from llmops_cli.sizing.step_time import step_time
from llmops_cli.sizing.work import Work
from llmops_cli.sizing.zero import zero_estimate
from llmops_cli.train.dry_run import dry_run
from llmops_cli.train.recipe import TrainRecipe

GIB = 2**30
GB = 1e9
UNITS = {"GiB": GIB, "GB(2^30)": GIB, "MiB": 2**20, "GB": GB, "bytes": 1}


def llama(hidden: int, width: int, layers: int, heads: int, kv_heads: int, words: int) -> dict:
    return {
        "model_type": "llama",
        "hidden_size": hidden,
        "intermediate_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "vocab_size": words,
        "tie_word_embeddings": False,
    }


def gpt(hidden: int, layers: int, heads: int, words: int = 51200, positions: int = 2048) -> dict:
    """Megatron's: dropout is on, and attention's probabilities are recomputed or fused."""
    return {
        "model_type": "gpt2",
        "n_embd": hidden,
        "n_layer": layers,
        "n_head": heads,
        "vocab_size": words,
        "n_positions": positions,
    }


MODELS = {
    "Llama-3.1-8B": llama(4096, 14336, 32, 32, 8, 128256),
    "Llama-3.1-70B": llama(8192, 28672, 80, 64, 8, 128256),
    "Llama-3.1-405B": llama(16384, 53248, 126, 128, 8, 128256),
    "generic 7B": llama(4096, 11008, 32, 32, 32, 32000),
    "generic 14B": llama(5120, 13824, 42, 40, 40, 32000),
    "generic 30B": llama(6656, 17920, 60, 52, 52, 32000),
    "generic 70B": llama(8192, 28672, 80, 64, 8, 32000),
    "GPT 175B": gpt(12288, 96, 96),
    "Megatron GPT-3 175B": gpt(12288, 96, 96),
    "GPT 530B": gpt(20480, 105, 128),
    "Qwen3-30B-A3B": {
        "model_type": "qwen3_moe",
        "hidden_size": 2048,
        "intermediate_size": 6144,
        "moe_intermediate_size": 768,
        "num_hidden_layers": 48,
        "num_attention_heads": 32,
        "num_key_value_heads": 4,
        "head_dim": 128,
        "num_experts": 128,
        "num_experts_per_tok": 8,
        "vocab_size": 151936,
    },
}


class Row(NamedTuple):
    quantity: str
    what: str
    ours: float
    theirs: float
    source: str
    is_trap: bool

    @property
    def ratio(self) -> float:
        return self.ours / self.theirs


def architecture_for(inputs: dict) -> Architecture:
    return architecture_of(MODELS[inputs["model"]])


def device_for(name: str) -> Device:
    """The row's card; `H100 96GB` is the one with HBM2e and 500 W."""
    if name.startswith("H100 96GB"):
        return device_named("h100-96")
    if name.startswith("A100"):
        return device_named("a100-80")
    return device_named(name)


def degree(words: list[str], name: str) -> int:
    """`tp8` of `fsdp32 x tp8`: 8; 1 where it is not named."""
    for word in words:
        if word.startswith(name) and word[len(name) :].isdigit():
            return int(word[len(name) :])
    return 1


def torchtitan(inputs: dict) -> tuple[Work, Layout]:
    """torchtitan's strategies in words; sequence parallel and parallel loss are on by default."""
    words = inputs["strategy"].split()
    words = [part for word in words for part in word.split("+")]
    tensor = degree(words, "tp")
    pipeline = degree(words, "pp")
    context = degree(words, "cp")
    shards = inputs["gpus"] // (tensor * pipeline * context)
    local = inputs["local_batch"]
    checkpointing = {"selective": "alternate"}.get(inputs["checkpointing"], inputs["checkpointing"])
    work = Work(
        sequence_length=inputs["seq_len"],
        batch_size=local * shards,
        checkpointing=checkpointing,
        is_compiled="compile" in words,
        matmul_format="float8" if "float8" in words else None,
    )
    is_interleaved = "interleaved" in words
    layout = Layout(
        strategy="fsdp",
        shards=shards,
        tensor=tensor,
        pipeline=pipeline,
        context=context,
        splits_sequence=tensor > 1,
        splits_vocabulary=tensor > 1,
        micro_batches=local if pipeline > 1 else 1,
        chunks=2 if is_interleaved else 1,
        schedule="interleaved" if is_interleaved else "1f1b",
    )
    return work, layout


def cluster_for(inputs: dict) -> Cluster:
    gpus = inputs["gpus"]
    return Cluster(
        device=device_for(inputs["gpu"]), nodes=max(1, gpus // 8), devices_per_node=min(8, gpus)
    )


def train_memory(inputs: dict) -> float:
    work, layout = torchtitan(inputs)
    return device_memory(architecture_for(inputs), work, layout).total


def train_speed(inputs: dict) -> float:
    work, layout = torchtitan(inputs)
    time = step_time(architecture_for(inputs), work, layout, cluster_for(inputs))
    return time.tokens_per_s / layout.devices


def train_mfu(inputs: dict) -> float:
    """Plain and compiled, of eight; the middle of both."""
    shares = []
    for strategy in ("fsdp", "fsdp+compile"):
        row = {
            **inputs,
            "strategy": strategy,
            "gpus": 8,
            "local_batch": 2,
            "seq_len": 8192,
            "checkpointing": "selective",
        }
        work, layout = torchtitan(row)
        time = step_time(architecture_for(row), work, layout, cluster_for(row))
        shares.append(time.mfu)
    return statistics.mean(shares)


def days(inputs: dict) -> float:
    architecture = architecture_for(inputs)
    flops = training_flops(
        architecture,
        sequence_length=2048,
        tokens=inputs["tokens"],
        checkpointing=inputs["recompute"],
    )
    return training_days(
        flops,
        devices=inputs["gpus"],
        peak_flops=312e12,
        utilisation=inputs["flops_efficiency"],
    )


def state_memory(inputs: dict) -> float:
    """Of a stage in the middle: no embeddings."""
    architecture = architecture_for(inputs)
    blocks = parameter_count(architecture) - 12288 * (51200 + 2048)
    return 16 * blocks / (inputs["tp"] * inputs["pp"])


def deepspeed(inputs: dict, quantity: str) -> float:
    offload = "none"
    if "opt cpu" in inputs["options"]:
        offload = "optimizer"
    elif "both cpu" in inputs["options"]:
        offload = "parameters"
    elif "either" in inputs["options"]:
        offload = "optimizer"
    found = zero_estimate(
        parameters=inputs["params"],
        largest_layer=inputs["largest_layer"],
        stage=2 if "zero2" in quantity else 3,
        devices=inputs["gpus"],
        nodes=inputs.get("nodes", 1),
        offload=offload,
    )
    return found.host if quantity.endswith("cpu") else found.device


def finetune(inputs: dict) -> float | list[float]:
    """Weights, gradients, optimizer of the whole model or of adapters; no more."""
    architecture = architecture_for(inputs)
    count = parameter_count(architecture)
    if "full" in inputs:
        lora = adapter_memory(architecture, bits=16).total
        qlora = adapter_memory(architecture, bits=4).total
        return [16.0 * count, lora, qlora]
    if inputs["method"] == "full bf16/fp16 mixed":
        return 16.0 * count
    if inputs["method"] == "full pure_bf16":
        return 8.0 * count
    return adapter_memory(architecture, bits=inputs["bits"]).total


def rows_of(found: dict) -> list[Row]:
    """One for each value of a training row; none for a row of another kind."""
    quantity = found["quantity"]
    inputs = found["inputs"]
    unit = UNITS.get(found["unit"], 1)
    if quantity == "train_memory_per_gpu":
        ours: float | list[float] = train_memory(inputs)
    elif quantity == "train_tps_per_gpu":
        ours = train_speed(inputs)
    elif quantity == "train_mfu":
        ours = train_mfu(inputs)
    elif quantity == "training_time":
        ours = days(inputs)
    elif quantity == "train_state_memory_per_gpu":
        ours = state_memory(inputs)
    elif quantity.startswith("deepspeed_"):
        ours = deepspeed(inputs, quantity)
    elif quantity == "finetune_memory":
        ours = finetune(inputs)
    elif quantity == "parameter_count":
        ours = parameter_count(architecture_for(inputs))
    else:
        return []
    return _rows(found, ours, unit)


def _rows(found: dict, ours: float | list[float], unit: float) -> list[Row]:
    theirs = found["value"]
    if isinstance(theirs, list) and not isinstance(ours, list):
        theirs = statistics.mean(theirs)
    pairs = zip(ours, theirs, strict=True) if isinstance(ours, list) else [(ours, theirs)]
    words = {key: value for key, value in found["inputs"].items() if key not in {"gpu", "config"}}
    what = " ".join(str(value) for value in words.values())
    is_trap = "TRAP" in found.get("note", "")
    return [
        Row(found["quantity"], what[:70], each / unit, other, found["source"], is_trap)
        for each, other in pairs
    ]


def print_rows(path: Path) -> None:
    by_source = defaultdict(list)
    for found in json.loads(path.read_text()):
        for row in rows_of(found):
            by_source[row.source].append(row)
    for source, rows in by_source.items():
        print(f"\n{source}")
        for row in rows:
            mark = "  (trap, not counted)" if row.is_trap else ""
            print(
                f"  {row.quantity:28}{row.what:72}{row.ours:>16,.4g}{row.theirs:>16,.4g}"
                f"{row.ratio:8.2f}{mark}"
            )
    print("\nerrors by source: |ours / theirs - 1|, median and worst")
    for source, rows in by_source.items():
        errors = [abs(row.ratio - 1) for row in rows if not row.is_trap]
        if errors:
            median = statistics.median(errors)
            print(f"  {median:7.1%}{max(errors):8.1%}  {len(errors):3}  {source}")


TABLE = {
    "1B": llama(2048, 5632, 22, 32, 4, 32000),
    "7B": MODELS["generic 7B"],
    "13B": llama(5120, 13824, 40, 40, 40, 32000),
    "30B": MODELS["generic 30B"],
    "70B": MODELS["Llama-3.1-70B"],
    "175B": gpt(12288, 96, 96, 50304, 4096),
}


def print_table() -> None:
    """4 rows of 4,096 tokens a device, one a pass, blocks computed again, AdamW, H100 of 80 GB."""
    for name, config in TABLE.items():
        for devices in (8, 16, 32, 64, 128):
            recipe = TrainRecipe(
                sequence_length=4096,
                batch_size=4 * devices,
                accumulate=4,
                optimizer="adamw",
                activation_checkpointing="full",
            )
            cluster = Cluster(device=device_named("h100"), nodes=devices // 8, devices_per_node=8)
            found = dry_run(recipe, config, cluster)
            advice = f" Would fit: {'; '.join(found.advice)}" if found.advice else ""
            print(f"{name:5}{devices:4}  {found.reason}.{advice}")


if __name__ == "__main__":
    if "--table" in sys.argv:
        print_table()
    else:
        try:
            print_rows(Path(sys.argv[1]))
        except (UsageError, msgspec.ValidationError) as error:
            raise SystemExit(str(error)) from error
