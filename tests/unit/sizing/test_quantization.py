"""What quantization will take, before it is taken."""

from __future__ import annotations

import pytest

from llmops_cli.sizing.quantization import (
    LIBRARIES_BYTES,
    FolderMemory,
    folder_disk_bytes,
    folder_memory_bytes,
    gguf_forecast,
    nominal_bits,
)

GB = 10**9


@pytest.mark.parametrize(
    ("scheme", "bits"), [("F32", 32), ("BF16", 16), ("Q8_0", 9), ("IQ2_M", 3), ("MXFP4_MOE", 5)]
)
def test_a_types_name_tells_its_size(scheme: str, bits: float) -> None:
    assert nominal_bits(scheme) == bits


def test_a_base_is_paid_once_and_a_matrix_in_memory() -> None:
    plain = gguf_forecast(GB, ["Q8_0"], converts_base=False, computes_matrix=False)
    first = gguf_forecast(GB, ["Q8_0"], converts_base=True, computes_matrix=True)
    assert plain.memory_bytes == 0
    assert first.disk_bytes - plain.disk_bytes == pytest.approx(1.05 * GB)
    assert first.memory_bytes > GB
    assert gguf_forecast(GB, [], converts_base=False, computes_matrix=False).disk_bytes == 0


def test_nothing_to_make_needs_no_disk() -> None:
    assert folder_disk_bytes(GB, []) == 0
    assert folder_disk_bytes(GB, [4]) < folder_disk_bytes(GB, [8])


def test_calibration_and_hessians_need_memory() -> None:
    plain = FolderMemory(
        weights_bytes=GB,
        hidden_size=1024,
        intermediate_size=4096,
        calibration_tokens=0,
        has_hessian=False,
        in_float32=False,
        copies=1,
    )
    calibrated = FolderMemory(
        weights_bytes=GB,
        hidden_size=1024,
        intermediate_size=4096,
        calibration_tokens=65536,
        has_hessian=True,
        in_float32=False,
        copies=1,
    )
    assert folder_memory_bytes(plain) == int(1.3 * GB) + LIBRARIES_BYTES
    grown = folder_memory_bytes(calibrated) - folder_memory_bytes(plain)
    assert grown == 3 * 65536 * 1024 * 4 + 3 * 4096**2 * 4
