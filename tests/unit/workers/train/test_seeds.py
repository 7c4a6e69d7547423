"""Seeds give torch's own numbers."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="torch is not installed")
import torch

from train.seeds import draw_from


@pytest.mark.parametrize("seed", [0, 7, 2**56 - 1, 2**63 - 1])
def test_the_numbers_are_those_of_manual_seed(seed: int) -> None:
    torch.manual_seed(seed)
    expected = torch.rand(8)
    draw_from(seed)
    assert torch.equal(torch.rand(8), expected)
