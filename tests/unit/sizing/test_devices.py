"""The table of accelerators."""

from __future__ import annotations

import pytest

from llmops_cli.core.errors import UsageError
from llmops_cli.sizing.devices import ALIASES, BY_NAME, NVML_NAMES, device_named, device_of_driver


def test_names_are_found_however_they_are_written() -> None:
    assert device_named("H100").name == "h100"
    assert device_named("A100_80").name == "a100-80"
    assert device_named("RTX 4090").name == "4090"


def test_an_unknown_one_has_a_hint() -> None:
    with pytest.raises(UsageError) as error:
        device_named("h1000")
    assert error.value.hint is not None
    assert "h100" in error.value.hint


@pytest.mark.parametrize(
    ("driver", "ours"),
    [
        ("NVIDIA H100 80GB HBM3", "h100"),
        ("NVIDIA H100 PCIe", "h100-pcie"),
        ("NVIDIA H200", "h200"),
        ("NVIDIA A100-SXM4-80GB", "a100-80"),
        ("NVIDIA A100-SXM4-40GB", "a100-40"),
        ("NVIDIA A100 80GB PCIe", "a100-80-pcie"),
        ("NVIDIA A10G", "a10g"),
        ("NVIDIA L40S", "l40s"),
        ("NVIDIA L4", "l4"),
        ("NVIDIA GeForce RTX 4090", "4090"),
        ("Tesla T4", "t4"),
    ],
)
def test_drivers_names_are_known(driver: str, ours: str) -> None:
    device = device_of_driver(driver, 1e9)
    assert device is not None
    assert device.name == ours
    assert device.memory_bytes == 1e9


def test_every_name_leads_to_a_device() -> None:
    assert set(ALIASES.values()) <= set(BY_NAME)
    assert set(NVML_NAMES.values()) <= set(BY_NAME)
    assert device_of_driver("Voodoo 2", 1e9) is None
