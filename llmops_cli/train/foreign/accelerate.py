"""accelerate's YAML (what `accelerate config` writes) as options of `llmops train`."""

from __future__ import annotations

from pathlib import Path

from llmops_cli.train.foreign.deepspeed import read_deepspeed
from llmops_cli.train.foreign.lines import Leaf, Leaves, text_of, yaml_leaves
from llmops_cli.train.foreign.rules import (
    Foreign,
    Rule,
    Values,
    apply,
    choice,
    integer,
    number,
    only,
    quiet,
    refusal,
    same,
    switch,
)

MEGATRON = (
    "Megatron-LM is no engine here, and its checkpoints cannot be read: --strategy fsdp+tp, tp or "
    "pp with a Hugging Face folder (Megatron-Bridge converts)"
)
DEEPSPEED_FILE = "deepspeed_config.deepspeed_config_file"
KINDS = {
    "no": "single",
    "multi_cpu": "ddp",
    "multi_gpu": "ddp",
    "tp": "tp",
    "fsdp": "fsdp",
    "deepspeed": None,
}
"""distributed_type -> strategy; what FSDP and DeepSpeed are exactly, their own sections say."""
SHARDING = {
    "full_shard": "fsdp",
    "1": "fsdp",
    "hybrid_shard": "hsdp",
    "4": "hsdp",
    "no_shard": "ddp",
    "3": "ddp",
    "true": "fsdp",
}
NO_SHARD_GRAD_OP = (
    "weights stay sharded between forward and backward here; ZeRO-2: --strategy zero2"
)
ZERO = {"0": "ddp", "1": "zero1", "2": "zero2", "3": "zero3"}


def read_accelerate(path: str | Path) -> Foreign:
    """The file that it names as DeepSpeed's is read too.

    Raises: UsageError with file, line and key of what has no counterpart here.
    """
    place = Path(path)
    text = text_of(place, hint="--accelerate FILE")
    found = taken_from_accelerate(text, str(place))
    leaf = yaml_leaves(text, str(place)).get(DEEPSPEED_FILE)
    if leaf is None or not isinstance(leaf.value, str):
        return found
    ranks = _ranks(text, str(place))
    other = read_deepspeed(place.parent / leaf.value, ranks=ranks)
    values = {**found.values, **other.values}
    origins = {**found.origins, **other.origins}
    return Foreign(values, origins, found.notes + other.notes)


def _ranks(text: str, file: str) -> int | None:
    leaf = yaml_leaves(text, file).get("num_processes")
    if leaf is None or not isinstance(leaf.value, int):
        return None
    return leaf.value


def taken_from_accelerate(text: str, file: str) -> Foreign:
    """Pure. Raises: UsageError with file, line and key of what has no counterpart here."""
    return apply(yaml_leaves(text, file), RULES)


def _kind(leaf: Leaf, leaves: Leaves) -> Values:
    word = str(leaf.value).lower()
    if leaf.value is False:
        word = "no"
    if word == "megatron_lm":
        raise refusal(leaf, "has no counterpart here", MEGATRON)
    if word not in KINDS:
        raise refusal(leaf, "has no counterpart here", f"known: {', '.join(KINDS).upper()}")
    strategy = KINDS[word]
    if strategy is None or _says_more(word, leaves):
        return {}
    return {"strategy": strategy}


def _says_more(word: str, leaves: Leaves) -> bool:
    """Whether another line of the file is exact about the strategy."""
    exact = (
        "fsdp_config.fsdp_sharding_strategy",
        "fsdp_config.fsdp_reshard_after_forward",
        "parallelism_config.parallelism_config_tp_size",
        "parallelism_config.parallelism_config_dp_shard_size",
        "parallelism_config.parallelism_config_dp_replicate_size",
    )
    return word in ("fsdp", "multi_gpu", "tp") and any(key in leaves for key in exact)


def _processes(leaf: Leaf, leaves: Leaves) -> Values:
    """Those of all machines there, those of one here."""
    machines = leaves.get("num_machines")
    count = machines.value if machines and isinstance(machines.value, int) else 1
    if isinstance(leaf.value, bool) or not isinstance(leaf.value, int):
        raise refusal(leaf, "is no whole number")
    each, left = divmod(leaf.value, count)
    if left or not each:
        raise refusal(leaf, f"cannot be spread evenly over {count} machines")
    return {"nproc": each}


def _address(leaf: Leaf, leaves: Leaves) -> Values:
    port = leaves.get("main_process_port")
    if port is None or port.value is None:
        raise refusal(leaf, "needs a port", "main_process_port: 29500")
    return {"rendezvous": f"{leaf.value}:{port.value}"}


def _precision(leaf: Leaf, leaves: Leaves) -> Values:
    """YAML reads `no` as false."""
    word = "no" if leaf.value is False else str(leaf.value)
    table = {"no": "f32", "fp16": "fp16", "bf16": "bf16"}
    return choice("precision", table)(leaf._replace(value=word), leaves)


def _compile(leaf: Leaf, leaves: Leaves) -> Values:
    word = "no" if leaf.value is False else str(leaf.value)
    table = {"no": False, "inductor": True}
    return choice("compile", table)(leaf._replace(value=word), leaves)


def _sharding(leaf: Leaf, leaves: Leaves) -> Values:
    if same(leaf.value, "SHARD_GRAD_OP") or same(leaf.value, 2) or leaf.value is False:
        raise refusal(leaf, "has no counterpart here", NO_SHARD_GRAD_OP)
    return choice("strategy", SHARDING)(leaf, leaves)


def _offload(leaf: Leaf, leaves: Leaves) -> Values:
    """Parameters in main memory mean the optimizer's states there too, here."""
    if same(leaf.value, "none"):
        return {}
    if not same(leaf.value, "cpu"):
        raise refusal(leaf, "has no counterpart here", "main memory only: cpu")
    parameters = leaves.get("deepspeed_config.offload_param_device")
    if parameters is None or not same(parameters.value, "cpu"):
        return {"offload": "optimizer"}
    optimizer = leaves.get("deepspeed_config.offload_optimizer_device")
    if optimizer is None or not same(optimizer.value, "cpu"):
        why = "offloads parameters alone; here their optimizer states go with them"
        raise refusal(leaf, why, "offload_optimizer_device: cpu too")
    return {"offload": "parameters"}


def _parallel(leaf: Leaf, leaves: Leaves) -> Values:
    """The three sizes together are one strategy; each line gives the same answer."""
    del leaf
    sizes = {}
    for name in ("tp", "dp_shard", "dp_replicate"):
        found = leaves.get(f"parallelism_config.parallelism_config_{name}_size")
        size = found.value if found is not None else 1
        if found is not None and (isinstance(size, bool) or not isinstance(size, int)):
            raise refusal(found, "is no whole number")
        sizes[name] = size
        if found is not None and name == "dp_replicate" and size != 1 and sizes["tp"] != 1:
            raise refusal(found, "together with tensor parallel has no counterpart here")
    return _strategy_of(sizes)


def _strategy_of(sizes: dict[str, object]) -> Values:
    splits_matrices = sizes["tp"] != 1
    shards = sizes["dp_shard"] != 1
    copies = sizes["dp_replicate"] != 1
    if splits_matrices:
        strategy = "fsdp+tp" if shards else "tp"
        return {"strategy": strategy, "tensor_parallel": sizes["tp"]}
    if shards and copies:
        return {"strategy": "hsdp", "shard_size": sizes["dp_shard"]}
    return {"strategy": "fsdp" if shards else "ddp"}


RULES: dict[str, Rule] = {
    "compute_environment": only("LOCAL_MACHINE"),
    "distributed_type": _kind,
    "debug": quiet,
    "downcast_bf16": only(False, "no"),
    "enable_cpu_affinity": quiet,
    "gpu_ids": only("all", hint="CUDA_VISIBLE_DEVICES in the environment"),
    "machine_rank": integer("node_rank"),
    "main_process_ip": _address,
    "main_process_port": lambda leaf, leaves: {},
    "main_training_function": quiet,
    "mixed_precision": _precision,
    "num_machines": integer("nnodes"),
    "num_processes": _processes,
    "rdzv_backend": quiet,
    "same_network": quiet,
    "use_cpu": quiet,
    "tpu_env": only([]),
    "tpu_use_cluster": only(False),
    "tpu_use_sudo": only(False),
    "tpu_vm": only([]),
    "commands": only([]),
    "dynamo_backend": _compile,
    "dynamo_config.dynamo_backend": _compile,
    "dynamo_config.dynamo_mode": only("default"),
    "dynamo_config.dynamo_use_dynamic": only(False),
    "dynamo_config.dynamo_use_fullgraph": only(False),
    "dynamo_config.dynamo_use_regional_compilation": quiet,
    "fsdp_config.fsdp_sharding_strategy": _sharding,
    "fsdp_config.fsdp_reshard_after_forward": _sharding,
    "fsdp_config.fsdp_offload_params": switch("offload", "parameters"),
    "fsdp_config.fsdp_cpu_offload": switch("offload", "parameters"),
    "fsdp_config.fsdp_activation_checkpointing": switch("activation_checkpointing", "full"),
    "fsdp_config.fsdp_auto_wrap_policy": only(
        "TRANSFORMER_BASED_WRAP", hint="each block of the model is sharded by itself here"
    ),
    **{
        f"fsdp_config.{name}": quiet
        for name in (
            "fsdp_version",
            "fsdp_transformer_layer_cls_to_wrap",
            "fsdp_backward_prefetch",
            "fsdp_backward_prefetch_policy",
            "fsdp_forward_prefetch",
            "fsdp_use_orig_params",
            "fsdp_sync_module_states",
            "fsdp_cpu_ram_efficient_loading",
            "fsdp_state_dict_type",
            "fsdp_limit_all_gathers",
            "fsdp_min_num_params",
        )
    },
    "deepspeed_config.zero_stage": choice("strategy", ZERO),
    "deepspeed_config.gradient_accumulation_steps": integer("accumulate"),
    "deepspeed_config.gradient_clipping": number("clip_norm"),
    "deepspeed_config.offload_optimizer_device": _offload,
    "deepspeed_config.offload_param_device": _offload,
    "deepspeed_config.zero3_init_flag": quiet,
    "deepspeed_config.zero3_save_16bit_model": quiet,
    "deepspeed_config.deepspeed_multinode_launcher": only(
        "standard", hint="--emit slurm, or start each node with --node-rank"
    ),
    DEEPSPEED_FILE: lambda leaf, leaves: {},
    "parallelism_config.parallelism_config_dp_replicate_size": _parallel,
    "parallelism_config.parallelism_config_dp_shard_size": _parallel,
    "parallelism_config.parallelism_config_tp_size": _parallel,
    "parallelism_config.parallelism_config_cp_size": only(1),
    "parallelism_config.parallelism_config_sp_size": only(1),
    "parallelism_config.parallelism_config_cp_comm_strategy": quiet,
    "megatron_lm_config.*": only(hint=MEGATRON),
}
