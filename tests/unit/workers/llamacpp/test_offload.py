"""GiB that stay in main memory, as layers that a GPU has."""

from __future__ import annotations

import pytest

pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")

from llamacpp.server.offload import layers_on_gpu


@pytest.mark.parametrize(
    ("offload_bytes", "layers"), [(1, 10), (100, 10), (101, 9), (550, 5), (1099, 0), (9000, 0)]
)
def test_at_least_so_much_stays_and_the_rest_are_whole_layers(
    offload_bytes: int, layers: int
) -> None:
    assert layers_on_gpu(offload_bytes, size_bytes=1100, blocks=10) == layers
