"""Cards by the names that data sheets, drivers and tables use."""

from __future__ import annotations

import pytest

from llmops_cli.core.errors import UsageError
from llmops_cli.sizing.gpu_facts import FACTS
from llmops_cli.sizing.gpu_features import features_not_on, features_on
from llmops_cli.sizing.gpus import KNOWN, gpu_named, read_gpus


@pytest.mark.parametrize(
    ("text", "name", "count"),
    [
        ("NVIDIA GeForce RTX 4090 24GB", "4090", 1),
        ("2x RTX 3090", "3090", 2),
        ("4xH100", "h100", 4),
        ("A100 40GB", "a100-40", 1),
        ("A100-80G (2039 GB/s)", "a100-80", 1),
        ("H100 PCIe 80GB", "h100-pcie", 1),
        ("Tesla T4", "t4", 1),
        ("Apple M2 Ultra", "m2-ultra", 1),
    ],
)
def test_names_as_they_are_written(text: str, name: str, count: int) -> None:
    found = read_gpus(text)
    assert found.gpu.name == name
    assert found.count == count


def test_a_bandwidth_in_the_name_wins() -> None:
    found = gpu_named("H100 96GB HBM2e 2.4TB/s, 500 W (not the 80GB)")
    assert found.name == "h100-96"
    assert found.device.memory_bytes_per_s == 2.4e12


def test_an_unknown_card_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="h1000") as caught:
        gpu_named("h1000")
    assert caught.value.hint == "did you mean 'h100'?"


def test_every_card_has_a_source_and_every_price_a_date() -> None:
    assert set(FACTS) == set(KNOWN)
    for facts in FACTS.values():
        assert facts.source.startswith("https://")
        if facts.price is not None:
            assert facts.price.date
            assert facts.price.source.startswith("https://")


def test_what_a_capability_can_do() -> None:
    assert gpu_named("t4").has_flash_attention is False
    assert gpu_named("a100").has_fp8 is False
    assert gpu_named("l4").has_fp8 is True
    assert gpu_named("mi300x").has_flash_attention is None


@pytest.mark.parametrize(
    ("capability", "has", "has_not"),
    [
        (7.0, [], ["FP8 weights", "FlashAttention 2", "bf16 products"]),
        (7.5, ["FP8 weights", "INT8 products (W8A8)"], ["FlashAttention 2"]),
        (8.6, ["FlashAttention 2", "bf16 products"], ["FP8 products (W8A8)", "FlashAttention 3"]),
        (8.9, ["FP8 products (W8A8)"], ["FlashAttention 3", "FP4 products (NVFP4)"]),
        (9.0, ["FlashAttention 3", "FlashAttention 4"], ["FP4 products (NVFP4)"]),
        (10.0, ["FlashAttention 4", "FP4 products (MXFP4)"], ["FlashAttention 3"]),
        (12.0, ["FP4 products (NVFP4)"], ["FP4 products (MXFP4)", "FlashAttention 4"]),
    ],
)
def test_features_by_capability(capability: float, has: list[str], has_not: list[str]) -> None:
    on = {each.name for each in features_on(capability)}
    off = {each.name for each in features_not_on(capability)}
    assert set(has) <= on
    assert set(has_not) <= off
    assert not on & off


@pytest.mark.parametrize(
    ("text", "name", "gib"),
    [
        ("Tesla V100-SXM2-16GB", "v100", 16),
        ("RTX 3060 8GB", "3060", 8),
        ("RTX 4060 Ti 8 GB", "4060-ti", 8),
        ("NVIDIA GeForce RTX 4090 48GB", "4090", 48),
        ("M4 Max 36GB", "m4-max", 27),
        ("M2 Ultra 192GB", "m2-ultra", 144),
        ("strix-halo 128GB", "strix-halo", 96),
        ("Ryzen AI Max 395 64GB", "strix-halo", 48),
        ("DGX Spark 128GB", "gb10", 120),
        ("Jetson AGX Orin 32GB", "agx-orin", 30),
        ("NVIDIA L40S 48GB", "l40s", 44.99),
        ("A10G", "a10g", 24),
        ("2x RTX 3090 (24 GB)", "3090", 24),
        ("A100-80G (2039 GB/s)", "a100-80", 80),
    ],
)
def test_a_memory_in_the_name_wins_unless_it_only_rounds(text: str, name: str, gib: float) -> None:
    """Cards are sold with several; of one that is the processor's too, a share."""
    found = read_gpus(text).gpu
    assert found.name == name
    assert found.device.memory_bytes == pytest.approx(gib * 2**30)


@pytest.mark.parametrize(
    ("name", "gib", "gb_per_s", "tflops", "fp8"),
    [
        ("A100-40GB", 40, 1555, 312, None),
        ("H100 SXM", 80, 3350, 989, 1979),
        ("B200", 180, 8000, 2250, 4500),
        ("L4", 24, 300, 121, 242),
        ("A10", 24, 600, 125, None),
        ("T4", 16, 320, 65, None),
        ("RTX 4090", 24, 1008, 165, 330),
        ("RTX 5090", 32, 1792, 209.5, 419),
        ("MI300X", 192, 5300, 1307, 2615),
        ("MI325X", 256, 6000, 1307, 2615),
    ],
)
def test_data_sheets_are_read_dense(
    name: str, gib: float, gb_per_s: float, tflops: float, fp8: float | None
) -> None:
    """Sheets print twice as much, for matrices that are half zeros."""
    device = read_gpus(name).gpu.device
    assert device.memory_bytes == pytest.approx(gib * 2**30, rel=0.05)
    assert device.memory_bytes_per_s == pytest.approx(gb_per_s * 1e9, rel=0.05)
    assert device.bf16_flops == pytest.approx(tflops * 1e12, rel=0.02)
    assert device.fp8_flops == (None if fp8 is None else pytest.approx(fp8 * 1e12, rel=0.02))
