"""Bands of training's figures: wider where less was measured, and around the published values."""

from __future__ import annotations

from llmops_cli.sizing.layout import Layout
from llmops_cli.sizing.training_bands import MEMORY, SPEED, kind_of, training_correction

PLAIN = Layout(strategy="fsdp", shards=8)
PIPELINE = Layout(strategy="fsdp+pp", shards=4, pipeline=2)


def test_kinds_of_layouts() -> None:
    long = Layout(strategy="fsdp", shards=1, context=8)
    assert kind_of(PLAIN, SPEED) == "train"
    assert kind_of(PIPELINE, SPEED) == "train-pipeline"
    assert kind_of(long, SPEED) == "train-context"
    assert kind_of(long, MEMORY) == "train-memory"


def test_less_measured_is_less_sure() -> None:
    for quantity in (SPEED, MEMORY):
        known = training_correction(PLAIN, "h100-96", quantity)
        other = training_correction(PLAIN, "a100-80", quantity)
        unknown = training_correction(PLAIN, "a100-80", quantity, groups=())
        assert known.spread < other.spread < unknown.spread
        assert training_correction(PIPELINE, "h100-96", quantity).spread > known.spread
        assert "extrapolated" in other.source
