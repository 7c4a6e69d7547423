"""Accelerators and the machines that hold them: memory, speeds, links. Sources in docs/SIZING.md.

Dense figures: data sheets often print twice as much, which holds for matrices that are half zeros.
"""

from __future__ import annotations

import msgspec

from llmops_cli.core.errors import unknown_name

GIB = 2**30
TERA = 1e12
GIGA = 1e9
CUDA_CONTEXT_BYTES = 0.5 * GIB
"""A process's context with its kernels and cuBLAS's workspace, measured by many at 300-600 MiB."""
NCCL_BYTES = 1.0 * GIB
"""Channel buffers of NCCL's communicators on 8 peers, beside torch's allocator."""
CPU_PROCESS_BYTES = 0.6 * GIB
"""What a Python with torch and Transformers holds before any model."""
MATMUL_SHARE = 0.8
FLASH_SHARE = 0.55
HOPPER_FLASH_SHARE = 0.36
"""FlashAttention 2 does not use Hopper's asynchrony (arXiv:2407.08608: 35 % of an H100)."""


CPU = "cpu"


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """One accelerator.

    matmul_share: of the dense peak, what the best single matrix product reaches; flash_share: what
    attention does, forward and backward. link: the fastest way to its neighbours in the machine,
    each direction; network: its share of the way to others.
    """

    name: str
    memory_bytes: float
    bf16_flops: float
    memory_bytes_per_s: float
    link_bytes_per_s: float
    network_bytes_per_s: float = 25 * GIGA
    fp8_flops: float | None = None
    matmul_share: float = MATMUL_SHARE
    flash_share: float = FLASH_SHARE
    f32_flops: float | None = None
    is_cpu: bool = False
    devices_per_node: int = 8

    def framework_bytes(self, devices: int) -> float:
        if self.is_cpu:
            return CPU_PROCESS_BYTES
        peers = NCCL_BYTES if devices > 1 else 0.0
        return CUDA_CONTEXT_BYTES + peers


class Cluster(msgspec.Struct, frozen=True, kw_only=True):
    """Devices of one kind in `nodes` machines. `host_bytes`: main memory of a machine, if known."""

    device: Device
    nodes: int = 1
    devices_per_node: int = 1
    host_bytes: float | None = None

    @property
    def devices(self) -> int:
        return self.nodes * self.devices_per_node

    @property
    def usable_bytes(self) -> float:
        return self.device.memory_bytes


def _gpu(
    name: str,
    *,
    gib: float,
    tflops: float,
    gb_per_s: float,
    link: float,
    network: float = 25.0,
    fp8: float | None = None,
    f32: float | None = None,
    share: float = MATMUL_SHARE,
    flash: float = FLASH_SHARE,
) -> Device:
    """`link`, `network`: GB/s in one direction."""
    return Device(
        name=name,
        memory_bytes=gib * GIB,
        bf16_flops=tflops * TERA,
        memory_bytes_per_s=gb_per_s * GIGA,
        link_bytes_per_s=link * GIGA,
        network_bytes_per_s=network * GIGA,
        fp8_flops=None if fp8 is None else fp8 * TERA,
        f32_flops=None if f32 is None else f32 * TERA,
        matmul_share=share,
        flash_share=flash,
    )


def _hopper(name: str, *, gib: float, gb_per_s: float, power: float = 1.0) -> Device:
    """An H100 SXM's processor with one memory or another. `power`: clocks under a lower limit."""
    return _gpu(
        name,
        gib=gib,
        tflops=989,
        gb_per_s=gb_per_s,
        link=450,
        network=50,
        fp8=1978,
        f32=67,
        share=0.8 * power,
        flash=HOPPER_FLASH_SHARE * power,
    )


PCIE4 = 32.0
PCIE5 = 64.0
DEVICES = (
    _gpu("b300", gib=268.6, tflops=2250, gb_per_s=7750, link=900, network=100, fp8=4500, flash=0.3),
    _gpu(
        "gb300", gib=268.6, tflops=2500, gb_per_s=8000, link=900, network=100, fp8=5000, flash=0.3
    ),
    _gpu("gb200", gib=185, tflops=2500, gb_per_s=8000, link=900, network=50, fp8=5000, flash=0.3),
    _gpu("b200", gib=180, tflops=2250, gb_per_s=7700, link=900, network=50, fp8=4500, flash=0.3),
    _hopper("h200", gib=141, gb_per_s=4800),
    _hopper("h100", gib=80, gb_per_s=3350),
    _hopper("gh200", gib=96, gb_per_s=4000),
    # 500 W instead of 700 W: clocks go with about the square root of power
    _hopper("h100-96", gib=96, gb_per_s=2400, power=0.845),
    _gpu("h100-nvl", gib=94, tflops=835, gb_per_s=3938, link=300, fp8=1671, flash=0.36),
    _gpu("h100-pcie", gib=80, tflops=756.5, gb_per_s=2000, link=PCIE5, fp8=1513, share=0.7),
    _gpu("h20", gib=96, tflops=148, gb_per_s=4000, link=450, network=50, fp8=296, share=0.95),
    _gpu("a100-80", gib=80, tflops=312, gb_per_s=2039, link=300, f32=19.5, share=0.86),
    _gpu("a100-80-pcie", gib=80, tflops=312, gb_per_s=1935, link=PCIE4, f32=19.5),
    _gpu("a100-40", gib=40, tflops=312, gb_per_s=1555, link=300, f32=19.5, share=0.86),
    _gpu("a40", gib=48, tflops=149.7, gb_per_s=696, link=PCIE4),
    _gpu("a30", gib=24, tflops=165, gb_per_s=933, link=PCIE4),
    _gpu("a10", gib=24, tflops=125, gb_per_s=600, link=PCIE4),
    _gpu("a10g", gib=24, tflops=70, gb_per_s=600, link=PCIE4),
    _gpu("a6000", gib=48, tflops=154.8, gb_per_s=768, link=PCIE4),
    _gpu("l4", gib=24, tflops=121, gb_per_s=300, link=PCIE4, fp8=242),
    _gpu("l40", gib=48, tflops=181, gb_per_s=864, link=PCIE4, fp8=362),
    _gpu("l40s", gib=44.99, tflops=362.05, gb_per_s=864, link=PCIE4, fp8=733, f32=91.6),
    _gpu("rtx-pro-6000", gib=95.59, tflops=467.8, gb_per_s=1792, link=PCIE5, fp8=935.6),
    _gpu("5090", gib=32, tflops=209.5, gb_per_s=1792, link=PCIE5, fp8=419),
    _gpu("4090", gib=24, tflops=165.2, gb_per_s=1008, link=PCIE4, fp8=330.3, f32=82.6),
    _gpu("3090", gib=24, tflops=71, gb_per_s=936, link=PCIE4, f32=35.6),
    _gpu("v100", gib=32, tflops=125, gb_per_s=900, link=150),
    _gpu("t4", gib=16, tflops=65, gb_per_s=320, link=16.0),
    _gpu("mi300x", gib=192, tflops=1307, gb_per_s=5300, link=448, network=50, fp8=2615, share=0.6),
    _gpu("mi250x", gib=128, tflops=383, gb_per_s=3277, link=150, share=0.7),
)
BY_NAME = {device.name: device for device in DEVICES}
ALIASES = {
    "h100-sxm": "h100",
    "h100-80": "h100",
    "h200-sxm": "h200",
    "a100": "a100-80",
    "a100-sxm": "a100-80",
    "b200-sxm": "b200",
    "rtx4090": "4090",
    "rtx-4090": "4090",
    "rtx3090": "3090",
    "rtx5090": "5090",
    "rtx-a6000": "a6000",
}
NVML_NAMES = {
    "H200": "h200",
    "H100 PCIe": "h100-pcie",
    "H100 NVL": "h100-nvl",
    "GH200": "gh200",
    "H100": "h100",
    "GB300": "gb300",
    "GB200": "gb200",
    "B200": "b200",
    "B300": "b300",
    "A100-SXM4-40GB": "a100-40",
    "A100-PCIE-40GB": "a100-40",
    "A100 80GB PCIe": "a100-80-pcie",
    "A100": "a100-80",
    "L40S": "l40s",
    "L40": "l40",
    "L4": "l4",
    "A10G": "a10g",
    "A100X": "a100-80",
    "A10": "a10",
    "A40": "a40",
    "A30": "a30",
    "A6000": "a6000",
    "RTX PRO 6000": "rtx-pro-6000",
    "5090": "5090",
    "4090": "4090",
    "3090": "3090",
    "V100": "v100",
    "T4": "t4",
    "H20": "h20",
}
"""Part of the name that a driver gives -> ours; the first that is found holds."""


def device_named(name: str) -> Device:
    """By our name, in any case and with `_` or spaces.

    Raises: UsageError for one that is not in the table.
    """
    plain = name.strip().lower().replace("_", "-").replace(" ", "-")
    plain = ALIASES.get(plain, plain)
    if plain not in BY_NAME:
        raise unknown_name("GPU", name, BY_NAME)
    return BY_NAME[plain]


def device_of_driver(name: str, memory_bytes: float) -> Device | None:
    """A GPU by the name its driver has for it, with the memory that it says it has."""
    for part, ours in NVML_NAMES.items():
        if part in name:
            return msgspec.structs.replace(BY_NAME[ours], memory_bytes=memory_bytes)
    return None


def cpu_device(
    *,
    memory_bytes: float,
    cores: int,
    processes: int = 1,
    has_bf16: bool = False,
) -> Device:
    """A process on this machine's cores, with assumed speeds.

    40 GFLOP/s of f32 a core, four times as much where the processor multiplies bf16 itself, 10 GB/s
    of memory and 1 GB/s between processes over loopback.
    """
    own_cores = max(1.0, cores / processes)
    f32_flops = 40e9 * own_cores
    return Device(
        name=CPU,
        memory_bytes=memory_bytes / processes,
        bf16_flops=f32_flops * (4 if has_bf16 else 1),
        f32_flops=f32_flops,
        memory_bytes_per_s=10e9 * own_cores,
        link_bytes_per_s=1e9,
        network_bytes_per_s=1e8,
        is_cpu=True,
        devices_per_node=processes,
    )
