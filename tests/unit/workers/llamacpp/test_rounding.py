"""Types of ggml in memory: as the library's own Python has them, and better with more bits."""

from __future__ import annotations

import pytest

pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")

import gguf
import numpy as np

from llamacpp.rounding import ErrorSum, Rounder, bits_of, divides, row_bytes
from llmops_cli.quantize.mix import TYPES

RANDOM = np.random.default_rng(0)
W_OI = RANDOM.normal(size=(8, 512)).astype(np.float32)
QUICK_TYPES = [name for name in TYPES if not name.startswith("IQ2")]
"""The tables of the others take seconds to make; tests/integration/test_mix.py makes them."""
IMPORTANCE_I = RANDOM.uniform(0.1, 2, size=512).astype(np.float32)


@pytest.mark.parametrize("name", ["Q8_0", "Q5_0", "Q5_1", "Q4_0", "Q4_1"])
def test_it_is_what_ggufs_own_arithmetic_gives(name: str) -> None:
    kind = gguf.GGMLQuantizationType[name]
    expected_OI = gguf.dequantize(gguf.quantize(W_OI, kind), kind)
    rounded_OI = Rounder(name, threads=2).rounded(W_OI, None)
    # ggml's and numpy's roundings of ties differ
    assert np.mean(rounded_OI == expected_OI) > 0.99


@pytest.mark.parametrize("name", QUICK_TYPES)
def test_each_type_is_near_and_threads_change_nothing(name: str) -> None:
    alone_OI = Rounder(name, threads=1).rounded(W_OI, IMPORTANCE_I)
    together_OI = Rounder(name, threads=3).rounded(np.tile(W_OI, (70, 1)), IMPORTANCE_I)
    assert np.array_equal(np.tile(alone_OI, (70, 1)), together_OI)
    error = ErrorSum()
    error.add(W_OI, alone_OI, IMPORTANCE_I)
    assert 0 < error.share() < 4.0 ** -(bits_of(name) - 2)


def test_importance_lowers_the_error_where_it_is() -> None:
    skewed_I = np.where(np.arange(512) % 7 == 0, 50, 0.1).astype(np.float32)
    with_it = ErrorSum()
    without = ErrorSum()
    with_it.add(W_OI, Rounder("Q4_K", threads=1).rounded(W_OI, skewed_I), skewed_I)
    without.add(W_OI, Rounder("Q4_K", threads=1).rounded(W_OI, None), skewed_I)
    assert with_it.share() < without.share()


def test_a_matrix_of_zeros_has_no_error() -> None:
    zeros_OI = np.zeros((4, 256), np.float32)
    error = ErrorSum()
    error.add(zeros_OI, Rounder("Q4_K", threads=1).rounded(zeros_OI, None), None)
    assert error.share() == 0


def test_rows_of_576_divide_by_32_and_not_by_256() -> None:
    assert divides("Q4_0", 576)
    assert not divides("Q4_K", 576)
    assert row_bytes("Q8_0", 576) == 18 * 34
