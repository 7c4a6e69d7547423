"""Cards that serve and seldom train, and for every card capability, price hint and source.

Prices are hints: what one hour of one card was listed at in that year, in US dollars.
"""

from __future__ import annotations

import msgspec

from llmops_cli.sizing.devices import GIB, GIGA, PCIE4, PCIE5, TERA, Device

NVIDIA = "https://www.nvidia.com/en-us/data-center/"
ADA = "https://images.nvidia.com/aem-dam/Solutions/geforce/ada/nvidia-ada-gpu-architecture.pdf"
AMPERE = (
    "https://www.nvidia.com/content/PDF/nvidia-ampere-ga-102-gpu-architecture-whitepaper-v2.pdf"
)
BLACKWELL = (
    "https://images.nvidia.com/aem-dam/Solutions/geforce/blackwell/"
    "nvidia-rtx-blackwell-gpu-architecture.pdf"
)
TURING = (
    "https://images.nvidia.com/aem-dam/en-zz/Solutions/design-visualization/technologies/"
    "turing-architecture/NVIDIA-Turing-Architecture-Whitepaper.pdf"
)
AMD = "https://www.amd.com/en/products/accelerators/instinct.html"
INTEL = "https://www.intel.com/content/www/us/en/products/details/discrete-gpus/arc.html"
GAUDI = "https://www.intel.com/content/www/us/en/products/details/processors/ai-accelerators.html"
APPLE = "https://support.apple.com/en-us/docs/mac"
CAPABILITY = "https://developer.nvidia.com/cuda-gpus"
CATALOG = "https://github.com/skypilot-org/skypilot-catalog/blob/"
VERDA = CATALOG + "538675a0/catalogs/v8/verda/vms.csv"
RUNPOD = CATALOG + "02d7ef67/catalogs/v5/runpod/vms.csv"


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """US dollars for one card and hour in each way to pay, with the year of the list."""

    usd_per_hour: float
    spot_usd_per_hour: float | None = None
    reserved_usd_per_hour: float | None = None
    date: str = ""
    source: str = "given"


class GpuFacts(msgspec.Struct, frozen=True, kw_only=True):
    """`capability`: NVIDIA's compute capability. `source`: of the peaks and the bandwidth."""

    capability: float | None = None
    source: str = "a user's file"
    price: Price | None = None


def _card(
    name: str,
    *,
    gib: float,
    tflops: float,
    f32: float,
    gb_per_s: float,
    link: float = PCIE4,
    fp8: float | None = None,
) -> Device:
    """`tflops`: bf16 (fp16 where there is none), dense, sums in f32. `link`: GB/s one way."""
    return Device(
        name=name,
        memory_bytes=gib * GIB,
        bf16_flops=tflops * TERA,
        f32_flops=f32 * TERA,
        memory_bytes_per_s=gb_per_s * GIGA,
        link_bytes_per_s=link * GIGA,
        fp8_flops=None if fp8 is None else fp8 * TERA,
        devices_per_node=2,
    )


DESKTOP = (
    _card("5080", gib=16, tflops=112.6, f32=56.3, gb_per_s=960, link=PCIE5, fp8=225.1),
    _card("5070-ti", gib=16, tflops=87.9, f32=43.9, gb_per_s=896, link=PCIE5, fp8=175.8),
    _card("5070", gib=12, tflops=61.7, f32=30.9, gb_per_s=672, link=PCIE5, fp8=123.5),
    _card("5060-ti", gib=16, tflops=47.4, f32=23.7, gb_per_s=448, link=PCIE5, fp8=94.8),
    _card("5060", gib=8, tflops=38.3, f32=19.2, gb_per_s=448, link=PCIE5, fp8=76.7),
    _card("5090-laptop", gib=24, tflops=99, f32=31.8, gb_per_s=896, fp8=198),
    _card("4080-super", gib=16, tflops=104.4, f32=52.2, gb_per_s=736.3, fp8=208.9),
    _card("4080", gib=16, tflops=97.5, f32=48.7, gb_per_s=716.8, fp8=194.9),
    _card("4070-ti-super", gib=16, tflops=88.2, f32=44.1, gb_per_s=672.3, fp8=176.4),
    _card("4070-ti", gib=12, tflops=80.2, f32=40.1, gb_per_s=504.2, fp8=160.4),
    _card("4070-super", gib=12, tflops=71, f32=35.5, gb_per_s=504.2, fp8=142),
    _card("4070", gib=12, tflops=58.3, f32=29.1, gb_per_s=504.2, fp8=116.6),
    _card("4060-ti", gib=16, tflops=44.1, f32=22.1, gb_per_s=288, fp8=88.3),
    _card("4060", gib=8, tflops=30.2, f32=15.1, gb_per_s=272, fp8=60.5),
    _card("3090-ti", gib=24, tflops=80, f32=40, gb_per_s=1008),
    _card("3080-ti", gib=12, tflops=68.2, f32=34.1, gb_per_s=912.4),
    _card("3080", gib=10, tflops=59.5, f32=29.8, gb_per_s=760.3),
    _card("3070-ti", gib=8, tflops=43.5, f32=21.7, gb_per_s=608.3),
    _card("3070", gib=8, tflops=40.6, f32=20.3, gb_per_s=448),
    _card("3060-ti", gib=8, tflops=32.4, f32=16.2, gb_per_s=448),
    _card("3060", gib=12, tflops=25.5, f32=12.7, gb_per_s=360),
    _card("2080-ti", gib=11, tflops=53.8, f32=13.4, gb_per_s=616, link=16),
    _card("2080", gib=8, tflops=40.3, f32=10.1, gb_per_s=448, link=16),
    _card("2070", gib=8, tflops=29.9, f32=7.5, gb_per_s=448, link=16),
    _card("2060", gib=6, tflops=25.8, f32=6.5, gb_per_s=336, link=16),
    _card("1080-ti", gib=11, tflops=11.3, f32=11.3, gb_per_s=484, link=16),
    _card("p40", gib=24, tflops=11.8, f32=11.8, gb_per_s=347, link=16),
    _card("p100", gib=16, tflops=18.7, f32=9.3, gb_per_s=732, link=16),
    _card("a5000", gib=24, tflops=111.1, f32=27.8, gb_per_s=768),
    _card("a4000", gib=16, tflops=76.7, f32=19.2, gb_per_s=448),
    _card("a2", gib=16, tflops=18, f32=4.5, gb_per_s=200),
    _card("6000-ada", gib=48, tflops=364.2, f32=91.1, gb_per_s=960, fp8=728.5),
    _card("l20", gib=48, tflops=119.5, f32=59.8, gb_per_s=864, fp8=239),
    _card("gb10", gib=120, tflops=125, f32=31, gb_per_s=273, fp8=250),
    _card("5000-ada", gib=32, tflops=261.1, f32=65.3, gb_per_s=576, fp8=522.1),
    _card("4000-ada", gib=20, tflops=106.9, f32=26.7, gb_per_s=360, fp8=213.8),
    _card("a4500", gib=20, tflops=94.6, f32=23.7, gb_per_s=640),
    _card("3050", gib=8, tflops=18.2, f32=9.1, gb_per_s=224),
    _card("rtx-8000", gib=48, tflops=130.5, f32=16.3, gb_per_s=672, link=16),
    _card("titan-rtx", gib=24, tflops=130.5, f32=16.3, gb_per_s=672, link=16),
    _card("1080", gib=8, tflops=8.9, f32=8.9, gb_per_s=320, link=16),
    _card("p4", gib=8, tflops=5.5, f32=5.5, gb_per_s=192, link=16),
    _card("m40", gib=24, tflops=6.8, f32=6.8, gb_per_s=288, link=16),
    _card("agx-orin", gib=60, tflops=42.5, f32=5.3, gb_per_s=204.8),
    _card("w7900", gib=48, tflops=122.6, f32=61.3, gb_per_s=864),
    _card("9070-xt", gib=16, tflops=194.6, f32=48.7, gb_per_s=644.6, link=PCIE5, fp8=389.3),
    _card("7800-xt", gib=16, tflops=74.7, f32=37.3, gb_per_s=624.1),
    _card("strix-halo", gib=96, tflops=59.4, f32=29.7, gb_per_s=256),
    _card("mi50", gib=32, tflops=26.5, f32=13.3, gb_per_s=1024),
    _card("mi100", gib=32, tflops=184.6, f32=23.1, gb_per_s=1229),
    _card("mi300a", gib=128, tflops=980.6, f32=122.6, gb_per_s=5300, link=384, fp8=1961),
    _card("mi350x", gib=288, tflops=2300, f32=144.2, gb_per_s=8000, link=538, fp8=4600),
    _card("a770", gib=16, tflops=137.6, f32=17.2, gb_per_s=560),
    _card("b580", gib=12, tflops=116.7, f32=14.6, gb_per_s=456),
    _card("gaudi2", gib=96, tflops=432, f32=13.5, gb_per_s=2450, link=300, fp8=865),
    _card("gaudi3", gib=128, tflops=1835, f32=28.7, gb_per_s=3700, link=600, fp8=1835),
    _card("7900-xtx", gib=24, tflops=122.8, f32=61.4, gb_per_s=960),
    _card("7900-xt", gib=20, tflops=103, f32=51.5, gb_per_s=800),
    _card("6900-xt", gib=16, tflops=46.1, f32=23, gb_per_s=512),
    _card("mi210", gib=64, tflops=181, f32=22.6, gb_per_s=1638),
    _card("mi325x", gib=256, tflops=1307, f32=163.4, gb_per_s=6000, link=448, fp8=2614),
    _card("mi355x", gib=288, tflops=2500, f32=157.3, gb_per_s=8000, link=538, fp8=5000),
    _card("m1", gib=11, tflops=5.2, f32=2.6, gb_per_s=68.3),
    _card("m1-pro", gib=21, tflops=10.6, f32=5.3, gb_per_s=200),
    _card("m1-max", gib=48, tflops=10.6, f32=10.6, gb_per_s=400),
    _card("m1-ultra", gib=96, tflops=21.2, f32=21.2, gb_per_s=800),
    _card("m2", gib=16, tflops=3.6, f32=3.6, gb_per_s=100),
    _card("m2-pro", gib=24, tflops=6.8, f32=6.8, gb_per_s=200),
    _card("m2-max", gib=72, tflops=13.6, f32=13.6, gb_per_s=400),
    _card("m2-ultra", gib=144, tflops=27.2, f32=27.2, gb_per_s=800),
    _card("m3", gib=18, tflops=4.1, f32=4.1, gb_per_s=100),
    _card("m3-pro", gib=27, tflops=7.4, f32=7.4, gb_per_s=150),
    _card("m3-max", gib=96, tflops=16.3, f32=16.3, gb_per_s=400),
    _card("m3-ultra", gib=384, tflops=32.7, f32=32.7, gb_per_s=819),
    _card("m4", gib=24, tflops=4.3, f32=4.3, gb_per_s=120),
    _card("m4-pro", gib=48, tflops=9.2, f32=9.2, gb_per_s=273),
    _card("m4-max", gib=96, tflops=18.4, f32=18.4, gb_per_s=546),
)
"""An Apple's memory: the three quarters that Metal lets a program have at most."""


def _listed(usd_per_hour: float, spot: float, source: str, date: str) -> Price:
    return Price(usd_per_hour=usd_per_hour, spot_usd_per_hour=spot, date=date, source=source)


PRICES = {
    "b300": _listed(4.95, 1.24, VERDA, "2026"),
    "b200": _listed(3.79, 0.95, VERDA, "2026"),
    "h200": _listed(2.59, 1.30, VERDA, "2026"),
    "h100": _listed(1.99, 1.00, VERDA, "2026"),
    "a100-80": _listed(1.16, 0.58, VERDA, "2026"),
    "a100-40": _listed(0.72, 0.22, VERDA, "2026"),
    "v100": _listed(0.14, 0.07, VERDA, "2026"),
    "rtx-pro-6000": _listed(1.39, 0.35, VERDA, "2026"),
    "l40s": _listed(0.91, 0.28, VERDA, "2026"),
    "6000-ada": _listed(0.83, 0.25, VERDA, "2026"),
    "a6000": _listed(0.49, 0.15, VERDA, "2026"),
    "l40": _listed(1.14, 0.69, RUNPOD, "2024"),
    "a40": _listed(0.69, 0.34, RUNPOD, "2024"),
    "a30": _listed(0.34, 0.24, RUNPOD, "2024"),
    "4090": _listed(0.74, 0.39, RUNPOD, "2024"),
    "3090": _listed(0.34, 0.19, RUNPOD, "2024"),
    "a5000": _listed(0.34, 0.18, RUNPOD, "2024"),
    "a4000": _listed(0.27, 0.16, RUNPOD, "2024"),
}
"""What one provider listed; others differ by a factor of two and more."""


def _rows(names: str, capability: float | None, source: str) -> dict[str, GpuFacts]:
    found = {}
    for name in names.split():
        price = PRICES.get(name)
        found[name] = GpuFacts(capability=capability, source=source, price=price)
    return found


FACTS: dict[str, GpuFacts] = {
    **_rows("5090 5080 5070-ti 5070 5060-ti 5060 5090-laptop", 12.0, BLACKWELL),
    **_rows("4090 4080-super 4080 4070-ti-super 4070-ti 4070-super", 8.9, ADA),
    **_rows("4070 4060-ti 4060", 8.9, ADA),
    **_rows("3090-ti 3090 3080-ti 3080 3070-ti 3070 3060-ti 3060", 8.6, AMPERE),
    **_rows("a6000 a5000 a4000 a2 a40", 8.6, AMPERE),
    **_rows("a4500 3050", 8.6, AMPERE),
    **_rows("5000-ada 4000-ada", 8.9, ADA),
    **_rows("2080-ti 2080 2070 2060 rtx-8000 titan-rtx", 7.5, TURING),
    **_rows("1080-ti 1080 p40 p4", 6.1, CAPABILITY),
    **_rows("m40", 5.2, CAPABILITY),
    **_rows("agx-orin", 8.7, "https://developer.nvidia.com/embedded/jetson-agx-orin"),
    **_rows("p100", 6.0, CAPABILITY),
    **_rows("7900-xtx 7900-xt 6900-xt mi210 mi250x mi300x mi325x mi355x", None, AMD),
    **_rows("w7900 9070-xt 7800-xt strix-halo mi50 mi100 mi300a mi350x", None, AMD),
    **_rows("a770 b580", None, INTEL),
    **_rows("gaudi2 gaudi3", None, GAUDI),
    **_rows("m1 m1-pro m1-max m1-ultra m2 m2-pro m2-max m2-ultra", None, APPLE),
    **_rows("m3 m3-pro m3-max m3-ultra m4 m4-pro m4-max", None, APPLE),
    **_rows("gb10", 12.1, "https://www.nvidia.com/en-us/products/workstations/dgx-spark/"),
    **_rows("b300", 10.3, NVIDIA + "dgx-b300/"),
    **_rows("gb300", 10.3, NVIDIA + "gb300-nvl72/"),
    **_rows("gb200", 10.0, NVIDIA + "gb200-nvl72/"),
    **_rows("b200", 10.0, NVIDIA + "dgx-b200/"),
    **_rows("h200", 9.0, NVIDIA + "h200/"),
    **_rows("h100 h100-96 h100-nvl h100-pcie", 9.0, NVIDIA + "h100/"),
    **_rows("gh200", 9.0, NVIDIA + "grace-hopper-superchip/"),
    **_rows("h20", 9.0, "https://www.techpowerup.com/gpu-specs/h20.c4286"),
    **_rows("a100-80 a100-80-pcie a100-40", 8.0, NVIDIA + "a100/"),
    **_rows("a30", 8.0, NVIDIA + "products/a30-gpu/"),
    **_rows("a10", 8.6, NVIDIA + "products/a10-gpu/"),
    **_rows("a10g", 8.6, "https://aws.amazon.com/ec2/instance-types/g5/"),
    **_rows("l4", 8.9, NVIDIA + "l4/"),
    **_rows("l20", 8.9, "https://www.techpowerup.com/gpu-specs/l20.c4206"),
    **_rows("l40", 8.9, NVIDIA + "l40/"),
    **_rows("l40s", 8.9, NVIDIA + "l40s/"),
    **_rows("6000-ada", 8.9, "https://www.nvidia.com/en-us/design-visualization/rtx-6000/"),
    **_rows("rtx-pro-6000", 12.0, NVIDIA + "rtx-pro-6000-blackwell-server-edition/"),
    **_rows("v100", 7.0, NVIDIA + "v100/"),
    **_rows("t4", 7.5, NVIDIA + "tesla-t4/"),
}
UNIFIED_SHARES = {
    **{name: 0.75 for name, facts in FACTS.items() if facts.source == APPLE},
    "strix-halo": 96 / 128,
    "gb10": 120 / 128,
    "agx-orin": 60 / 64,
}
"""Of a memory that the processor has too: what our table lets a program have on the GPU."""
NAMED = {
    "h100-pcie-80": "h100-pcie",
    "h100-94": "h100-nvl",
    "rtx-5000-ada": "5000-ada",
    "rtx-4000-ada": "4000-ada",
    "quadro-rtx-8000": "rtx-8000",
    "rtx8000": "rtx-8000",
    "8000": "rtx-8000",
    "jetson-agx-orin": "agx-orin",
    "rx-9070-xt": "9070-xt",
    "rx-7800-xt": "7800-xt",
    "rx-7900-xtx": "7900-xtx",
    "rx-7900-xt": "7900-xt",
    "rx-6900-xt": "6900-xt",
    "arc-a770": "a770",
    "arc-b580": "b580",
    "ryzen-ai-max-395": "strix-halo",
    "h100-80": "h100",
    "h800": "h100",
    "a100-pcie-80": "a100-80-pcie",
    "a100-pcie-40": "a100-40",
    "a800": "a100-80",
    "rtx-6000-ada": "6000-ada",
    "dgx-spark": "gb10",
    "rtx-pro-6000": "rtx-pro-6000",
    "pro-6000": "rtx-pro-6000",
}
"""Other spellings -> ours."""
