"""Facts in a few words."""

from __future__ import annotations


def hardware_line(hardware: dict[str, object]) -> str:
    """Processor, cores, memory and GPUs in a few words."""
    processor = str(hardware.get("cpu_model") or "unknown processor")
    cores = hardware.get("cores_logical", "?")
    parts = [processor, f"{cores} cores"]
    memory = hardware.get("ram_bytes")
    if isinstance(memory, int | float):
        gib = memory / 2**30
        parts.append(f"{gib:.0f} GiB")
    gpus = hardware.get("gpus")
    if isinstance(gpus, list):
        parts += [_gpu_name(gpu) for gpu in gpus]
    return ", ".join(parts)


def _gpu_name(gpu: object) -> str:
    if isinstance(gpu, dict):
        return str(gpu.get("name", gpu))
    return str(gpu)


def percent(share: float | None) -> str:
    """`12.3%`, or a dash."""
    return "-" if share is None else f"{share:.1%}"


def percent_interval(interval: tuple[float, float] | None) -> str:
    """`3% to 20%`, or a dash."""
    return "-" if interval is None else f"{interval[0]:.0%} to {interval[1]:.0%}"
