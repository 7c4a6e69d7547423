"""What engines print when they fail, as a cause and the option that helps."""

from __future__ import annotations

import pytest

from llmops_cli.engines.causes import explain
from llmops_cli.runtime.process import describe_exit


@pytest.mark.parametrize(
    ("line", "cause", "help_"),
    [
        (
            "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB",
            "memory",
            "--max-model-len",
        ),
        (
            (
                "RuntimeError: [enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't "
                "allocate memory"
            ),
            "memory",
            "",
        ),
        (
            "safetensors._safetensors_rust.SafetensorError: Error while deserializing header: "
            "incomplete metadata, file not fully covered",
            "damaged",
            "download",
        ),
        (
            "llama.cpp cannot load m.gguf: tensor 'blk.11.ffn_up.weight' data is not within the "
            "file bounds, model is corrupted or incomplete",
            "damaged",
            "download",
        ),
        (
            "RuntimeError: Variable 'decoder/layer_0/weight' has an invalid payload size",
            "damaged",
            "download",
        ),
        ("_pickle.UnpicklingError: Weights only load failed.", "pickle", ".safetensors"),
        ("killed by SIGKILL: out of memory", "memory", "--max-model-len"),
        ("ValueError: No available memory for the cache blocks.", "KV cache", "--max-model-len"),
        (
            (
                "ValueError: To serve one request with the model's max seq len (8192), (2.00 "
                "GiB KV cache is needed, "
                "which is larger than the available KV cache memory (1.0 GiB)."
            ),
            "KV cache",
            "--max-model-len",
        ),
        (
            "RuntimeError: CUDA error: no kernel image is available for execution on the device",
            "kernel",
            "--dtype",
        ),
        (
            "ValueError: Failed to find a kernel that can implement the WNA16 linear layer.",
            "kernel",
            "llmops engines",
        ),
        (
            "ImportError: FlashAttention2 has been toggled on, but it cannot be used",
            "flash",
            "--attention sdpa",
        ),
        ("ModuleNotFoundError: No module named 'vllm'", "library", "env create"),
        (
            "ValueError: Please pass the argument `trust_remote_code=True` to allow custom code",
            "code of its own",
            "",
        ),
        (
            "llama_model_load: error loading model architecture: unknown model architecture: 'x'",
            "architecture",
            "",
        ),
        ("OSError: [Errno 98] Address already in use", "port", "run again"),
    ],
)
def test_known_failures(line: str, cause: str, help_: str) -> None:
    found = explain(f"INFO starting\n{line}\n")
    assert found is not None
    assert cause in found.cause
    assert help_ in found.hint


def test_an_unknown_failure_is_left_to_the_log() -> None:
    assert explain("something else went wrong") is None


def test_the_source_in_a_traceback_is_no_cause() -> None:
    """Our own line has the word by which another cause is known."""
    log = (
        '  File "hf/loaded.py", line 77, in load_causal_lm\n'
        "    return AutoModelForCausalLM.from_pretrained(path, trust_remote_code=False)\n"
        "ValueError: nobody knows this one"
    )
    assert explain(log) is None


def test_a_process_that_somebody_killed_did_not_run_out_of_memory() -> None:
    assert explain(describe_exit(137)) is None
    found = explain(describe_exit(137, out_of_memory=True))
    assert found is not None
    assert "memory" in found.cause
