"""What accelerate's YAML becomes, and what is refused with its line."""

from __future__ import annotations

import pytest

from llmops_cli.core.errors import UsageError
from llmops_cli.train.foreign.accelerate import read_accelerate, taken_from_accelerate

FSDP = """compute_environment: LOCAL_MACHINE
debug: false
distributed_type: FSDP
downcast_bf16: 'no'
fsdp_config:
  fsdp_activation_checkpointing: true
  fsdp_auto_wrap_policy: TRANSFORMER_BASED_WRAP
  fsdp_offload_params: false
  fsdp_reshard_after_forward: true
  fsdp_version: 2
machine_rank: 1
main_process_ip: 10.0.0.1
main_process_port: 29500
main_training_function: main
mixed_precision: bf16
num_machines: 2
num_processes: 16
use_cpu: false
"""


def test_a_usual_file_of_fsdp_becomes_options_with_their_lines() -> None:
    found = taken_from_accelerate(FSDP, "a.yaml")
    assert found.values == {
        "strategy": "fsdp",
        "activation_checkpointing": "full",
        "node_rank": 1,
        "rendezvous": "10.0.0.1:29500",
        "precision": "bf16",
        "nnodes": 2,
        "nproc": 8,
    }
    assert found.origins["strategy"] == "a.yaml:9"
    assert found.origins["nproc"] == "a.yaml:17"


TAKEN = {
    "distributed_type: MULTI_GPU": {"strategy": "ddp"},
    "distributed_type: 'NO'": {"strategy": "single"},
    "distributed_type: NO": {"strategy": "single"},
    "mixed_precision: no": {"precision": "f32"},
    "dynamo_config:\n  dynamo_backend: INDUCTOR": {"compile": True},
    "fsdp_config:\n  fsdp_sharding_strategy: HYBRID_SHARD": {"strategy": "hsdp"},
    "fsdp_config:\n  fsdp_sharding_strategy: 1": {"strategy": "fsdp"},
    "deepspeed_config:\n  zero_stage: 2\n  gradient_clipping: 1.0": {
        "strategy": "zero2",
        "clip_norm": 1.0,
    },
    "deepspeed_config:\n  offload_optimizer_device: cpu\n  offload_param_device: cpu": {
        "offload": "parameters"
    },
    "parallelism_config:\n  parallelism_config_tp_size: 2\n  parallelism_config_dp_shard_size: 4": {
        "strategy": "fsdp+tp",
        "tensor_parallel": 2,
    },
    "parallelism_config:\n  parallelism_config_dp_replicate_size: 2\n"
    "  parallelism_config_dp_shard_size: 4": {"strategy": "hsdp", "shard_size": 4},
}


@pytest.mark.parametrize("text", TAKEN)
def test_each_kind_has_its_strategy(text: str) -> None:
    assert taken_from_accelerate(text, "f").values == TAKEN[text]


REFUSED = {
    "debug: false\ndistributed_type: MEGATRON_LM": "f:2: 'distributed_type: MEGATRON_LM'",
    "megatron_lm_config:\n  megatron_lm_tp_degree: 2": "f:2: 'megatron_lm_config.megatron_lm_tp",
    "distributed_type: XLA": "f:1: 'distributed_type: XLA' has no counterpart",
    "compute_environment: AMAZON_SAGEMAKER": "compute_environment",
    "mixed_precision: fp8": "mixed_precision: fp8",
    "fsdp_config:\n  fsdp_sharding_strategy: SHARD_GRAD_OP": "f:2",
    "fsdp_config:\n  fsdp_reshard_after_forward: false": "f:2",
    "gpu_ids: 0,1": "gpu_ids: 0,1",
    "num_machines: 2\nnum_processes: 3": "f:2: 'num_processes: 3' cannot be spread evenly",
    "main_process_ip: host": "needs a port",
    "deepspeed_config:\n  deepspeed_hostfile: hosts": "deepspeed_hostfile: hosts",
    "parallelism_config:\n  parallelism_config_cp_size: 2": "cp_size: 2",
    "distributed_type: FSDP\nfsdp_config:\n  zero: 1": "f:3",
    "a: [": "f:1: no YAML",
    "- 1": "is no YAML map",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_has_no_counterpart_is_refused_with_its_line(text: str) -> None:
    with pytest.raises(UsageError, match=REFUSED[text]):
        taken_from_accelerate(text, "f")


def test_megatron_is_refused_by_name_with_what_would_do() -> None:
    with pytest.raises(UsageError) as told:
        taken_from_accelerate("distributed_type: MEGATRON_LM", "f")
    assert "Megatron-LM is no engine here" in str(told.value.hint)


def test_the_deepspeed_file_that_it_names_is_read_beside_it(tmp_path) -> None:
    (tmp_path / "ds.json").write_text(
        '{"zero_optimization": {"stage": 3}, "train_micro_batch_size_per_gpu": 2}'
    )
    path = tmp_path / "a.yaml"
    path.write_text(
        "distributed_type: DEEPSPEED\nnum_processes: 4\n"
        "deepspeed_config:\n  deepspeed_config_file: ds.json\n"
    )
    found = read_accelerate(path)
    assert found.values == {"nproc": 4, "strategy": "zero3", "batch_size": 8}
    assert found.origins["strategy"] == f"{tmp_path / 'ds.json'}:1"
