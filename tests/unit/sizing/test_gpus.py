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
