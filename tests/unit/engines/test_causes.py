"""What engines print when they fail, as a cause and the option that helps."""

from __future__ import annotations

import pytest

from llmops_cli.engines.causes import explain


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
