"""What a mix is planned from, what is refused, and how it is shown."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from llmops_cli.core.errors import UsageError
from llmops_cli.core.report import Manifest
from llmops_cli.quantize.allocation import Option
from llmops_cli.quantize.choice import best_file_that_fits
from llmops_cli.quantize.mix import FILE_TYPES, TYPES, Sensitivities, TensorCosts, plan_of
from llmops_cli.quantize.page import page
from llmops_cli.quantize.recipe import QuantizeRecipe
from llmops_cli.quantize.report import QuantizedArtifact, QuantizeReport
from llmops_cli.quantize.show import quantize_table
from llmops_cli.quantize.variants import variants_of
from llmops_cli.show.runs import OpenedRun

FIXED_BYTES = 1000
BITS = {"F16": 16.0, "Q8_0": 8.5, "Q4_K": 4.5}


def costs(name: str, sensitivity: float) -> TensorCosts:
    losses = {"F16": 0.0, "Q8_0": sensitivity / 100, "Q4_K": sensitivity}
    options = [
        Option(
            type=kind,
            bits_per_weight=BITS[kind],
            size_bytes=int(BITS[kind] * 1024),
            loss=losses[kind],
        )
        for kind in BITS
    ]
    return TensorCosts(name=name, weights=8192, options=options)


KNOWN = Sensitivities(
    fixed_bytes=FIXED_BYTES,
    groups=3,
    tensors=[
        costs("token_embd.weight", 0.2),
        costs("blk.0.attn_q.weight", 0.001),
        costs("blk.1.attn_q.weight", 0.002),
    ],
)
SMALLEST_BYTES = FIXED_BYTES + 3 * 4608


def test_a_size_below_the_smallest_file_is_refused_with_one_that_does() -> None:
    with pytest.raises(UsageError, match=f"{SMALLEST_BYTES:,} bytes") as caught:
        plan_of(KNOWN, SMALLEST_BYTES - 1)
    assert caught.value.hint == "--fit 1MB"
    assert plan_of(KNOWN, SMALLEST_BYTES).mixture.size_bytes == SMALLEST_BYTES


def test_a_size_that_the_model_has_anyway_is_refused() -> None:
    with pytest.raises(UsageError, match="nothing to quantize"):
        plan_of(KNOWN, 10**9)


def test_the_whole_file_counts_and_the_tender_tensor_gets_the_bytes() -> None:
    room_bytes = FIXED_BYTES + 2 * 4608 + 8704
    plan = plan_of(KNOWN, room_bytes)
    assert plan.types == {
        "token_embd.weight": "Q8_0",
        "blk.0.attn_q.weight": "Q4_K",
        "blk.1.attn_q.weight": "Q4_K",
    }
    assert plan.mixture.size_bytes == room_bytes
    assert plan_of(KNOWN, room_bytes - 1).types["token_embd.weight"] == "Q4_K"


def test_a_file_is_called_by_the_type_of_most_of_its_bytes() -> None:
    assert set(TYPES) == set(FILE_TYPES)
    assert plan_of(KNOWN, SMALLEST_BYTES).file_type == "Q4_K_S"


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"mix": "auto", "fit_bytes": 90_000_000}, ["gguf-mix-90MB"]),
        ({"mix": "auto", "fit_bytes": 90_000_001}, ["gguf-mix-90000001B"]),
        (
            {"mix": "auto", "fit_bytes": 90_000_000, "scheme": ["Q4_K_M"]},
            ["gguf-Q4_K_M", "gguf-mix-90MB"],
        ),
        (
            {"mix": "auto", "fit_bytes": 90_000_000, "sweep": ["int4", "gguf:Q8_0"]},
            ["int4-W4A16-g128", "gguf-Q8_0", "gguf-mix-90MB"],
        ),
    ],
)
def test_a_mix_comes_beside_the_types_that_are_named(
    fields: dict[str, object], names: list[str]
) -> None:
    recipe = msgspec.convert(fields, QuantizeRecipe)
    assert [variant.name for variant in variants_of(recipe)] == names


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"mix": "auto"}, "given size"),
        ({"mix": "auto", "fit_bytes": 9, "method": "awq"}, "awq has no --mix"),
        ({"mix": "auto", "fit_bytes": 9, "sweep": ["int4"]}, "nothing in this sweep has --mix"),
    ],
)
def test_a_mix_without_a_size_or_of_another_method_is_refused(
    fields: dict[str, object], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        variants_of(msgspec.convert(fields, QuantizeRecipe))


def artifact(name: str, size_bytes: int, divergence: float) -> QuantizedArtifact:
    return QuantizedArtifact(
        path=f"{name}.gguf",
        method="gguf",
        engine="llama.cpp",
        scheme=name,
        format="gguf",
        name=name,
        size_bytes=size_bytes,
        size_base_bytes=100_000,
        bits_per_weight=5.0,
        kl_divergence=divergence,
    )


def test_with_a_mix_the_recommended_one_is_the_nearest_whose_file_fits() -> None:
    made = [artifact("big", 9_000_000, 0.1), artifact("mix", 5_000_000, 0.2)]
    assert "mix, 5.00 MB" in best_file_that_fits(made, 6_000_000)
    assert "big, 9.00 MB" in best_file_that_fits(made, 9_000_000)
    assert "no artifact" in best_file_that_fits(made, 1)


def report() -> QuantizeReport:
    manifest = Manifest(recipe={"model": "demo", "sweep": [], "method": "gguf"})
    mixture = plan_of(KNOWN, FIXED_BYTES + 2 * 4608 + 8704).mixture
    mixed = msgspec.structs.replace(artifact("mix", 20_000, 0.01), mixture=mixture)
    return QuantizeReport(manifest=manifest, artifacts=[mixed])


def test_the_page_shows_each_tensors_type_and_what_another_would_save() -> None:
    run = OpenedRun(name="run<1>", path=Path("run"), report=report())
    html = page([run])
    assert "run&lt;1&gt;" in html
    for tensor in KNOWN.tensors:
        assert tensor.name in html
    assert "<td>attn_q</td><td>Q4_K</td><td>Q4_K</td>" in html
    assert "1 Q8_0, 2 Q4_K" in html
    saved = (0.002 - 0.002 / 100) / (8704 - 4608) * 1e6
    assert f"<td>Q8_0</td><td>{saved:.2e}</td>" in html


def test_the_table_says_what_was_predicted() -> None:
    table = quantize_table(report())
    predicted = 0.2 / 100 + 0.001 + 0.002
    assert f"{predicted:.5f} nats were predicted" in str(table.caption)
