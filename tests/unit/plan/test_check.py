"""`llmops plan check`: published values predicted, fitted on some sources and judged on others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llmops_cli.core.errors import UsageError
from llmops_cli.plan.check import check_references
from llmops_cli.plan.report import CheckReport


def _row(quantity: str, value: object, **inputs: object) -> dict[str, Any]:
    unit = inputs.pop("unit", "tok/s")
    source = inputs.pop("source", "a page")
    return {
        "quantity": quantity,
        "inputs": inputs,
        "value": value,
        "unit": unit,
        "source": source,
    }


def _checked(
    tmp_path: Path, rows: list[dict[str, Any]], fit: list[str] | None = None
) -> CheckReport:
    file = tmp_path / "refs.json"
    file.write_text(json.dumps(rows))
    return check_references(file, fit_sources=fit)


def test_counted_values_are_exact_in_the_rows_own_unit(tmp_path: Path) -> None:
    rows = [
        _row("kv_cache_size", 0.125, model="Llama-3.1-8B", tokens=1024, unit="GiB (page says GB)"),
        _row("fp32_model_size", 32.1, model="Llama-3.1-8B", unit="GB"),
        _row("parameter_count", 30532122624, model="Qwen3-30B-A3B", unit="params"),
        _row(
            "deepspeed_zero2_cpu",
            127.45,
            params=2851e6,
            largest_layer=32e6,
            gpus=8,
            nodes=1,
            options="either",
            unit="GB(2^30)",
        ),
    ]
    report = _checked(tmp_path, rows)
    for row, given in zip(report.rows, rows, strict=True):
        assert row.value == pytest.approx(given["value"], rel=0.002)
    for found in report.by_quantity.values():
        assert found.coverage == 1


def test_what_cannot_be_answered_is_named_and_not_guessed(tmp_path: Path) -> None:
    rows = [
        _row("decode_tps_batch1", 70, model="Llama-3.1-8B", quant="Q4_K_M", gpu="unstated"),
        _row("decode_tps_batch1", 70, model="Nobody-9B", quant="Q4_K_M", gpu="RTX 4090"),
        _row("colour", 1, model="Llama-3.1-8B"),
    ]
    report = _checked(tmp_path, rows)
    assert [row.value for row in report.rows] == [None, None, None]
    assert "GPU is not named" in str(report.rows[0].missing)
    assert "Nobody-9B" in str(report.rows[1].missing)
    assert "colour" in str(report.rows[2].missing)
    assert report.by_quantity["decode_tps_batch1"].unanswered == 2


def test_states_take_room_from_the_tokens_that_vllm_tells(tmp_path: Path) -> None:
    """16 of 64 layers cache; the others keep 48 heads of 128 x 128 numbers in f32."""
    asked = {"model": "Qwen3.5-27B", "quant": "BF16", "kv": "f16", "available_kv_gib": 10.0}
    rows = [
        _row("vllm_kv_tokens", 1, **asked, unit="tokens"),
        _row("vllm_kv_tokens", 1, **asked, max_model_len=32_768, unit="tokens"),
    ]
    plain, told = (float(str(row.value)) for row in _checked(tmp_path, rows).rows)
    token = 16 * 2 * 4 * 256 * 2
    state = 48 * (48 * 128 * 128 * 4 + (2 * 16 + 48) * 128 * 4 * 2)
    assert plain == pytest.approx(10 * 2**30 / token)
    assert told == pytest.approx(10 * 2**30 / (token * 32_768 + state) * 32_768)


def test_drafts_gain_alone_and_lose_under_load(tmp_path: Path) -> None:
    asked = {"model": "Llama-3-70B", "gpu": "4xH100", "unit": "x"}
    rows = [
        _row("speculation_speedup", 1, **asked, draft="ngram"),
        _row("speculation_speedup", 1, **asked, draft="Qwama-0.5B"),
        _row("speculation_speedup", 1, **asked, draft="ngram", qps="high"),
        _row("speculation_speedup", 1, **asked, draft="another"),
        _row("speculation_speedup", 1, **asked),
    ]
    *answered, unsized, unnamed = _checked(tmp_path, rows).rows
    looked_up, model, loaded = (float(str(row.value)) for row in answered)
    assert looked_up == pytest.approx((1 - 0.7**5) / 0.3)
    assert 1 < model < looked_up
    assert loaded < 1
    assert "another" in str(unsized.missing)
    assert "no draft" in str(unnamed.missing)


def test_rows_of_fitted_sources_move_the_others_and_are_not_judged(tmp_path: Path) -> None:
    asked = {"model": "Llama-3.1-8B", "quant": "Q4_K_M", "gpu": "RTX 4090"}
    rows = [_row("decode_tps_batch1", 75, **asked, source=f"blog {number}") for number in range(6)]
    rows.append(_row("decode_tps_batch1", 75, **asked, source="other"))
    plain = _checked(tmp_path, rows[-1:]).rows[0]
    fitted = _checked(tmp_path, rows, ["blog"])
    assert len(fitted.rows) == 1
    row = fitted.rows[0]
    assert abs(float(str(row.value)) - 75) < abs(float(str(plain.value)) - 75)
    assert float(str(row.low)) <= 75 <= float(str(row.high))


def test_a_file_that_is_no_list_of_rows_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "refs.json"
    file.write_text("{}")
    with pytest.raises(UsageError, match="no list of published values"):
        check_references(file, fit_sources=None)


ABSURD: dict[str, tuple[dict[str, Any], str]] = {
    "no cards": (_row("decode_tps_batch1", 1, model="qwen3-8b", gpu="h100", gpus=0), "'gpus' is 0"),
    "no batch": (_row("batch_tps", 1, model="qwen3-8b", gpu="h100", batch=0), "'batch' is 0"),
    "tokens below none": (
        _row("kv_cache_size", 1, model="qwen3-8b", tokens=-5),
        "'tokens' is -5",
    ),
    "a number beyond all": (
        _row("kv_cache_size", 1, model="qwen3-8b", tokens=1e30),
        "'tokens' is 1e",
    ),
    "a format that is a number": (
        _row("gguf_file_size", 1, model="qwen3-8b", quant=7),
        "unknown format '7'",
    ),
}


@pytest.mark.parametrize("case", ABSURD)
def test_an_absurd_row_is_named_and_the_others_are_answered(case: str, tmp_path: Path) -> None:
    row, said = ABSURD[case]
    sound = _row("parameter_count", 30532122624, model="Qwen3-30B-A3B", unit="params")
    absurd, answered = _checked(tmp_path, [row, sound]).rows
    assert absurd.missing is not None
    assert said in absurd.missing
    assert answered.value == 30532122624


@pytest.mark.parametrize("published", [[1.0], {"other": 1.0}, "much", None, True])
def test_a_value_of_another_form_is_not_scored(published: object, tmp_path: Path) -> None:
    row = _row("deepspeed_zero2_cpu", published, params=2851e6, gpus=8, nodes=1, options="either")
    report = _checked(tmp_path, [{**row, "inputs": {**row["inputs"], "largest_layer": 32e6}}])
    assert report.by_quantity["deepspeed_zero2_cpu"].coverage is None


def test_no_rows_and_no_rows_of_a_source_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no rows"):
        _checked(tmp_path, [])
    sound = _row("parameter_count", 30532122624, model="Qwen3-30B-A3B", unit="params")
    with pytest.raises(UsageError, match="a source like 'elsewhere'"):
        _checked(tmp_path, [sound], fit=["elsewhere"])
