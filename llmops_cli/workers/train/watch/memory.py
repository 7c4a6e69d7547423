"""Out of memory: how it is recognised, and which option helps."""

from pathlib import Path

import torch

from train.settings import Settings

CPU_ALLOCATOR = "DefaultCPUAllocator"
"""torch has no class for a failed allocation in main memory, only these words in a RuntimeError."""
COUNTERS = (
    Path("/sys/fs/cgroup/memory.events"),
    Path("/sys/fs/cgroup/memory/memory.oom_control"),
    Path("/proc/vmstat"),
)


def is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and CPU_ALLOCATOR in str(error)


def what_helps(settings: Settings) -> str:
    """Options that take less memory, the cheapest first, without those that are on."""
    options = []
    if settings.precision == "f32" and torch.cuda.is_available():
        options.append("--precision bf16")
    options.append(f"--accumulate {settings.accumulate * 2}")
    if settings.activation_checkpointing != "full":
        options.append("--activation-checkpointing full")
    if settings.strategy in {"single", "ddp"}:
        options.append("--strategy fsdp over more processes")
    if settings.offload == "none":
        options.append("--offload optimizer")
    options.append("a smaller --sequence-length")
    return f"in this order: {', '.join(options)}; --dry-run shows what each strategy needs"


def kills_for_memory() -> int:
    """Processes that the kernel has ended for lack of memory, where this one runs."""
    for path in COUNTERS:
        try:
            text = path.read_text()
        except OSError:
            continue
        for line in text.splitlines():
            name, _, value = line.partition(" ")
            if name == "oom_kill":
                return int(value)
    return 0
