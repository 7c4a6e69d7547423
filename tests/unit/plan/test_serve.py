"""`llmops plan serve`: figures, their bands, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.console import Console

from llmops_cli.core.errors import UsageError
from llmops_cli.plan.cards import card_rows
from llmops_cli.plan.compare import KEPT_ORDER, compare_plans
from llmops_cli.plan.known_models import model_rows
from llmops_cli.plan.page import UNITS, plan_page
from llmops_cli.plan.recipe import PlanRecipe
from llmops_cli.plan.report import PlanDetail, ServePlan
from llmops_cli.plan.run import plan_serve
from llmops_cli.plan.show import PLANS_DROPPABLE, models_table, plans_table
from llmops_cli.plan.slo import Kept
from llmops_cli.show.tables import Narrowed
from llmops_cli.sizing.gpus import gpu_named
from llmops_cli.sizing.public_models import CONFIGS, config_named
from tests.gguf_bytes import Tensor, gguf

CONFIGURATIONS = Path(__file__).parent.parent.parent / "data" / "configurations.json"


def _plan(model: str = "llama-3.1-8b", **wishes: object) -> ServePlan:
    asked = {"model": model, "gpu": "h100", "gpus": 1, **wishes}
    return plan_serve(PlanRecipe(**asked)).plan  # type: ignore[arg-type]


def test_every_figure_lies_in_its_band_and_says_how_it_was_made() -> None:
    for name, figure in _plan(concurrency=16).figures().items():
        assert figure.value is not None, name
        assert figure.low is not None
        assert figure.high is not None
        assert figure.low <= figure.value <= figure.high
        assert figure.formula
        assert figure.source


def test_memory_is_counted() -> None:
    """8,030,261,248 parameters of 16 bits; 2 x 32 layers x 8 heads x 128 values of 16 bits."""
    plan = _plan()
    assert plan.weights_bytes.number == pytest.approx(2 * 8_030_261_248, rel=1e-3)
    assert plan.kv_bytes_per_token.number == 131_072
    assert plan.max_concurrency.number == plan.kv_pool_bytes.number // (131_072 * 4096)


def test_a_smaller_cache_type_holds_more_and_a_longer_context_less() -> None:
    usual = _plan().max_concurrency.number
    assert _plan(kv_type="FP8").max_concurrency.number == pytest.approx(2 * usual, abs=2)
    assert _plan(context=8192).max_concurrency.number == pytest.approx(usual / 2, abs=1)


GEMMA_CELL = 2 * 4 * 256 * 2
"""Bytes of a token in one layer of Gemma 3 4B, which has 29 layers of 1,024 tokens and 5 of all."""


@pytest.mark.parametrize(
    ("engine", "cells"),
    [
        ("vllm", 5 * 16_384 + 30 * (1024 - 1 + 2048 + 1 + 16)),
        ("llamacpp", 5 * 16_384 + 29 * (1024 + 512)),
        ("sglang", 5 * 16_384 + 29 * 1024),
    ],
)
def test_each_engine_holds_what_it_allocates(engine: str, cells: int) -> None:
    """vLLM: a window, a step's tokens and a block, in groups of 5 layers; llama.cpp: a micro-batch.

    Sources: kv_cache_interface.py and kv_cache_utils.py of vLLM, llama-kv-cache-iswa.cpp.
    """
    plan = _plan("gemma-3-4b", engine=engine, context=16_384)
    expected = plan.kv_pool_bytes.number // (cells * GEMMA_CELL)
    assert plan.max_concurrency.number == pytest.approx(expected, abs=1)
    assert plan.kv_bytes_per_token.number == 34 * GEMMA_CELL


def test_a_table_that_is_only_looked_up_is_not_read() -> None:
    """Gemma 3n's words for each layer are a third of its weights and no part of a step."""
    plan = _plan("gemma-3n-e4b", gpu="l4")
    table = 262_144 * 35 * 256 * 2
    whole = 300e9 / plan.weights_bytes.number
    least = 300e9 / (plan.weights_bytes.number - table)
    assert whole < plan.decode_tps.high <= 1.001 * least


def test_decoding_never_passes_the_bandwidth() -> None:
    """3,350 GB/s over all weights but the embedding table."""
    plan = _plan()
    read = 2 * (8_030_261_248 - 128256 * 4096)
    assert plan.decode_tps.high is not None
    assert plan.decode_tps.high <= 3350e9 / read


@pytest.mark.parametrize(
    ("gpu", "quant", "said"),
    [
        ("a100", "FP8", "no FP8 products"),
        ("t4", "BF16", "no FlashAttention 2"),
        ("t4", "BF16", "no bf16 products"),
        ("h100", "NVFP4", "no FP4 products"),
        ("h100", "FP8", None),
    ],
)
def test_what_a_card_has_no_kernels_for_is_advice(gpu: str, quant: str, said: str | None) -> None:
    advice = plan_serve(PlanRecipe(model="qwen3-8b", gpu=gpu, gpus=2, quant=quant)).advice
    told = [line for line in advice if "has no" in line]
    if said is None:
        assert told == []
    else:
        assert any(said in line for line in told)


def test_what_does_not_fit_has_no_speed_and_no_cost() -> None:
    plan = _plan("llama-3.1-405b")
    assert plan.fits.value is False
    assert plan.decode_tps.value is None
    assert plan.cost_per_million_tokens.value is None
    assert _plan("llama-3.1-405b", gpus=16).fits.value is True


def test_load_costs_latency_and_saves_money() -> None:
    alone = _plan(concurrency=1)
    busy = _plan(concurrency=32)
    assert busy.throughput_tps.number > 4 * alone.throughput_tps.number
    assert busy.tpot_ms.number > alone.tpot_ms.number
    assert busy.cost_per_million_tokens.number < alone.cost_per_million_tokens.number


def test_a_rate_beyond_the_capacity_has_no_first_token() -> None:
    plan = _plan(rate=1000.0)
    assert plan.ttft_ms.value is None
    assert "queue grows" in plan.ttft_ms.formula


def test_a_card_without_a_price_has_no_cost() -> None:
    assert _plan("qwen3-8b", gpu="h20").cost_per_million_tokens.value is None
    assert _plan("qwen3-8b", gpu="h20", price=2.0).cost_per_million_tokens.number > 0


def test_a_users_file_adds_cards_and_prices(tmp_path: Path) -> None:
    file = tmp_path / "gpus.yaml"
    file.write_text(
        "gpus:\n"
        "  mine: {memory_gib: 48, bandwidth_gb_per_s: 1000, bf16_tflops: 100, usd_per_hour: 1}\n"
        "  h100: {usd_per_hour: 9}\n"
    )
    mine = _plan(gpu="mine", gpu_file=str(file))
    assert mine.cost_per_million_tokens.value is not None
    dear = _plan(gpu_file=str(file)).cost_per_million_tokens.number
    assert dear == pytest.approx(_plan(price=9.0).cost_per_million_tokens.number)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("gpus:\n  new: {memory_gib: 48}\n", "lacks a figure"),
        ("gpus:\n  h100: {memory_gib: 80000000}\n", "out of range"),
        ("gpus:\n  h100: {memory: 80}\n", "memory"),
        ("- h100\n", "must be a mapping of names to values, not a list of 1"),
        ("gpus:\n  h100: {usd_per_hour: .nan}\n", "usd_per_hour nan is out of range"),
        ("gpus:\n  h100: {usd_per_hour: -1}\n", "usd_per_hour -1 is out of range"),
        ("gpus:\n  h100: {spot_usd_per_hour: .inf}\n", "spot_usd_per_hour inf"),
        ("gpus:\n  h100: {fp8_tflops: .nan}\n", "fp8_tflops nan"),
        ("gpus:\n  h100: {f32_tflops: -3}\n", "f32_tflops -3"),
        ("gpus:\n  h100: {link_gb_per_s: 0}\n", "link_gb_per_s 0"),
        ("gpus:\n  h20: {spot_usd_per_hour: 1}\n", "spot price only"),
        ("gpus: [", "not YAML"),
    ],
)
def test_a_malformed_card_file_is_one_line(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "gpus.yaml"
    file.write_text(text)
    with pytest.raises(UsageError, match=said):
        _plan(gpu_file=str(file))


@pytest.mark.parametrize(
    ("wishes", "said"),
    [
        ({"model": None}, "needs a model"),
        ({"model": ""}, "needs a model"),
        ({"model": "none.json"}, "no file"),
        ({"this_machine": True}, "two machines"),
        ({"gpu_file": "."}, "cannot be read"),
        ({"gpus": 10**10}, "more than any plan"),
        ({"gpus": None, "context": 10**14}, "more than any plan"),
        ({"gpu": None}, "needs a card"),
        ({"model": "lama-3.1-8b"}, "unknown model"),
        ({"model": "http://127.0.0.1:9/config.json"}, "cannot be read"),
        ({"model": "none.gguf"}, "no file"),
        ({"quant": "Q4_KM"}, "unknown format"),
        ({"kv_type": "Q3"}, "unknown cache type"),
        ({"slo": "ttft=5"}, "no unit"),
        ({"slo": "first=5ms"}, "unknown objective"),
        ({"slo": "ttft_p95=5ms"}, "predicts means, and no p95 of ttft"),
        ({"slo": "tpot.p99=5ms"}, "no p99 of tpot"),
        ({"slo": ","}, "names no objective"),
        ({"slo": "ttft=5ms,ttft=9ms"}, "two limits for ttft"),
        ({"rate": 1.0, "concurrency": 2}, "two kinds"),
        ({"context": 10, "output_tokens": 10}, "no room"),
        ({"gpus": 3, "tensor_parallel": 2}, "no multiple"),
        ({"gpu": "8xH100", "gpus": 4}, "is 8 cards, and --gpus says 4"),
        ({"fitted": "none.json"}, "cannot be read"),
    ],
)
def test_bad_input_is_one_line(wishes: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        _plan(**{"model": "llama-3.1-8b", **wishes})  # type: ignore[arg-type]


def test_a_folder_is_read_with_its_own_format(tmp_path: Path) -> None:
    config = {
        "model_type": "llama",
        "hidden_size": 64,
        "intermediate_size": 160,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": 300,
        "quantization_config": {"quant_method": "fp8"},
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    plan = _plan(str(tmp_path))
    assert plan.kv_bytes_per_token.number == 2 * 3 * 2 * 16 * 2
    assert "FP8" in plan.weights_bytes.formula


def test_a_price_of_ones_own_leaves_the_card_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "gpus.yaml"
    file.write_text("gpus:\n  h100: {usd_per_hour: 9, spot_usd_per_hour: 3}\n")
    fast = _plan(quant="FP8")
    dear = _plan(quant="FP8", gpu_file=str(file))
    assert dear.prefill_tps.number == fast.prefill_tps.number
    spot = _plan(quant="FP8", gpu_file=str(file), billing="spot")
    assert spot.cost_per_million_tokens.number < dear.cost_per_million_tokens.number


def test_a_spot_price_is_taken_beside_the_tables_own(tmp_path: Path) -> None:
    file = tmp_path / "gpus.yaml"
    file.write_text("gpus:\n  h100: {spot_usd_per_hour: 0.01}\n")
    usual = _plan(billing="spot").cost_per_million_tokens.number
    cheap = _plan(billing="spot", gpu_file=str(file)).cost_per_million_tokens.number
    assert cheap < usual / 10
    on_demand = _plan(gpu_file=str(file)).cost_per_million_tokens.number
    assert on_demand == _plan().cost_per_million_tokens.number


def test_a_comparison_of_no_cards_is_refused() -> None:
    with pytest.raises(UsageError, match="no card"):
        compare_plans(PlanRecipe(model="qwen3-8b"), gpus=[])


def test_a_guess_has_the_band_of_one(tmp_path: Path) -> None:
    """What is read as another family's is not exact to half a percent."""
    config = {**config_named("llama-3.1-8b"), "model_type": "newest"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    guess = _plan(str(tmp_path), quant="BF16").figures()
    for name, figure in _plan().figures().items():
        if name in {"fits", "decode_tps"}:
            continue
        assert float(guess[name].low or 0) < float(figure.low or 0), name
        assert float(guess[name].high or 0) > float(figure.high or 0), name
    weights = guess["weights_bytes"]
    assert float(weights.low or 0) == pytest.approx(0.7 * weights.number)
    assert weights.source.startswith("extrapolated")


def test_a_hybrid_caches_for_its_attention_and_keeps_states(tmp_path: Path) -> None:
    """4 of Jamba's 32 layers have keys and values; the other 28 keep 8,192 channels of state."""
    rows = json.loads(CONFIGURATIONS.read_text())
    config = next(row["config"] for row in rows if row["name"] == "jamba-mini-1.5")
    path = tmp_path / "jamba.json"
    path.write_text(json.dumps(config))
    plan = _plan(str(path), gpus=2, context=1024)
    assert plan.kv_bytes_per_token.number == 4 * 2 * 8 * 128 * 2
    states = 28 * 8192 * (16 * 4 + 4 * 2)
    assert plan.max_concurrency.number == plan.kv_pool_bytes.number // (16_384 * 1024 + states)


def test_a_gguf_file_weighs_what_its_tensors_do(tmp_path: Path) -> None:
    shapes = {
        "token_embd.weight": (64, 100),
        "blk.0.attn_k.weight": (64, 16),
        "blk.0.attn_v.weight": (64, 24),
    }
    tensors = []
    offset = 0
    for name, shape in shapes.items():
        size_bytes = 4 * shape[0] * shape[1]
        tensors.append(Tensor(name, shape, 0, offset, size_bytes))
        offset += size_bytes
    path = tmp_path / "model.gguf"
    path.write_bytes(gguf({"general.architecture": "llama"}, tensors))
    plan = _plan(str(path))
    assert plan.weights_bytes.number == offset
    assert plan.kv_bytes_per_token.number == 2 * (16 + 24)


def test_the_page_has_the_figures_and_draws_the_curve() -> None:
    detail = plan_serve(PlanRecipe(model="llama-3.1-8b", gpu="h100"))
    page = plan_page([detail])
    assert "throughput_tps" in page
    for name, unit in UNITS.items():
        row = page.partition(f"<td>{name}</td>")[2].partition("</tr>")[0]
        assert row.endswith(f"<td>{unit}</td>"), name
    assert set(detail.plan.figures()) - set(UNITS) == {"fits"}
    assert page.count("<svg") == 4
    assert page.count("<circle") == 4 * len(detail.curve)


def _asked(**wishes: object) -> PlanDetail:
    asked = {"model": "llama-3.1-8b", "gpu": "h100", "gpus": 1, **wishes}
    return plan_serve(PlanRecipe(**asked))  # type: ignore[arg-type]


@pytest.mark.parametrize("load", [{"concurrency": 4}, {"rate": 0.5}])
@pytest.mark.parametrize(
    ("slo", "kept", "said"),
    [
        ("ttft=10s,tpot=1s", Kept.YES, ["keeps within 10,000 ms", "keeps within 1,000 ms"]),
        ("ttft=1ms", Kept.NO, ["misses 1 ms"]),
        ("ttft=10s,tpot=1ms", Kept.NO, ["keeps within 10,000 ms", "misses 1 ms"]),
    ],
)
def test_each_objective_is_told_under_either_load(
    load: dict[str, object], slo: str, kept: Kept, said: list[str]
) -> None:
    detail = _asked(slo=slo, **load)
    assert detail.keeps_slo is kept
    for line, words in zip(detail.advice, said, strict=False):
        assert words in line


def test_a_limit_inside_the_band_is_not_sure() -> None:
    ttft_ms = _asked().plan.ttft_ms
    for limit, word in ((ttft_ms.number * 1.1, "keeps within"), (ttft_ms.number * 0.9, "misses")):
        detail = _asked(slo=f"ttft={limit:.1f}ms")
        assert detail.keeps_slo is Kept.UNSURE
        assert word in detail.advice[0]
        assert "not surely" in detail.advice[0]


def test_what_does_not_fit_keeps_no_objective() -> None:
    detail = _asked(model="llama-3.1-405b", slo="ttft=1s")
    assert detail.keeps_slo is Kept.NO
    assert "does not fit" in detail.advice[0]


@pytest.mark.parametrize(
    ("changes", "positions"),
    [
        ({}, 32_768),
        (
            {
                "rope_scaling": {
                    "rope_type": "yarn",
                    "factor": 4.0,
                    "original_max_position_embeddings": 32_768,
                }
            },
            131_072,
        ),
    ],
)
def test_a_context_beyond_the_models_positions_is_noted(
    tmp_path: Path, changes: dict[str, object], positions: int
) -> None:
    config = {**dict(config_named("qwen2.5-7b")), "max_position_embeddings": 32_768, **changes}
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))
    within = _asked(model=str(path), context=positions)
    beyond = _asked(model=str(path), context=positions + 1)
    assert not [note for note in within.notes if "positions" in note]
    assert [note for note in beyond.notes if f"beyond the {positions:,} positions" in note]
    assert [note for note in _asked(context=200_000).notes if "131,072 positions" in note]


def test_a_comparison_takes_limits_rates_and_prices() -> None:
    recipe = PlanRecipe(model="qwen3-8b", rate=0.5, slo="tpot=30ms", price=2.0)
    details = compare_plans(recipe, gpus=["l40s", "a100-40", "h100"], quants=["BF16", "FP8"])
    order = [KEPT_ORDER.index(detail.keeps_slo) for detail in details]
    assert order == sorted(order)
    assert len(set(order)) > 1
    cheapest = [each for each in details if each.keeps_slo is details[0].keeps_slo]
    costs = [each.plan.cost_per_million_tokens.number for each in cheapest]
    assert costs == sorted(costs)


def test_an_engine_that_there_is_not_is_one_line() -> None:
    with pytest.raises(UsageError, match="engine: unknown value 'vlm'"):
        compare_plans(PlanRecipe(model="qwen3-8b"), gpus=["h100"], engines=["vlm"])


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_width_takes_the_cost_from_a_comparison(width: int) -> None:
    recipe = PlanRecipe(model="qwen3-8b", slo="tpot=30ms")
    details = compare_plans(recipe, gpus=["h100", "2 x rtx-pro-6000"])
    table = Narrowed(plans_table(details), droppable=PLANS_DROPPABLE, folds=("plan",))
    console = Console(width=width)
    with console.capture() as caught:
        console.print(table)
    shown = caught.get()
    assert "\u2026" not in shown
    for title in ("$/1M tok", "all tok/s", "keeps SLO", "fits"):
        assert title in shown
    names = [column.header for column in plans_table(details).columns]
    assert len(set(names)) == len(names)


def test_every_card_is_listed_with_its_source_and_can_be_planned_with(tmp_path: Path) -> None:
    file = tmp_path / "gpus.yaml"
    file.write_text("gpus:\n  mine: {memory_gib: 48, bandwidth_gb_per_s: 9, bf16_tflops: 1}\n")
    rows = {row.name: row for row in card_rows(file)}
    assert rows["mine"].memory_gib == 48
    assert rows["h100"].usd_per_hour == 1.99
    assert all(row.source for row in rows.values())
    for name in set(rows) - {"mine"}:
        assert gpu_named(name).name == name


def test_every_known_model_is_listed_with_what_it_has() -> None:
    rows = {row.name: row for row in model_rows()}
    assert set(rows) == set(CONFIGS)
    assert rows["llama-3.1-8b"].parameters == 8_030_261_248
    assert rows["deepseek-v3"].kv_bytes_per_token == 61 * 576 * 2
    assert rows["qwen2.5-vl-7b"].parameters == 8_292_166_656
    table = models_table(list(rows.values()))
    assert table.row_count == len(CONFIGS)
