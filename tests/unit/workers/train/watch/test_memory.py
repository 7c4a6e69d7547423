"""Out of memory is known by its kind, and answered by options that are not on already."""

from __future__ import annotations

from dataclasses import replace

import pytest

pytest.importorskip("torch", reason="torch is not installed")

import torch

from tests.train_settings import SETTINGS
from train.settings import Settings
from train.watch.memory import is_out_of_memory, kills_for_memory, what_helps

BASE = Settings(**SETTINGS)


def test_what_torch_says_of_main_memory_is_recognised() -> None:
    with pytest.raises(RuntimeError) as too_much:
        torch.empty(1 << 56, dtype=torch.uint8)
    assert is_out_of_memory(too_much.value)
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert not is_out_of_memory(RuntimeError("Connection closed by peer"))


def test_the_cheapest_option_comes_first_and_none_that_is_on() -> None:
    text = what_helps(BASE)
    assert text.startswith("in this order: --accumulate 2, --activation-checkpointing full")
    assert "--strategy fsdp" in text
    spread = replace(BASE, strategy="fsdp", activation_checkpointing="full", offload="optimizer")
    text = what_helps(spread)
    for option in ("--activation-checkpointing", "--strategy", "--offload"):
        assert option not in text


def test_the_kernel_counts_what_it_ends() -> None:
    assert kills_for_memory() >= 0
