"""The one grammar of limits: what is written is what is understood."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_cli.core.conditions import (
    Grammar,
    Operator,
    Unit,
    parse_condition,
    parse_conditions,
    require_telling,
)
from llmops_cli.core.errors import UsageError

GRAMMAR = Grammar(
    metrics=("ttft", "ttft_ms", "error_rate", "output_tokens_per_s", "asr"),
    operators=tuple(Operator),
    units=tuple(Unit),
    has_changes=True,
    example="asr > 5%",
)


@pytest.mark.parametrize(
    ("text", "name", "limit", "is_relative"),
    [
        ("ttft_ms.p95 > +10%", "ttft_ms.p95", 0.1, True),
        ("ttft_p99.9=200ms", "ttft.p99.9", 200, False),
        ("ttft.p50 <= 0.05s", "ttft.p50", 50, False),
        (" ttft_p50<50us ", "ttft.p50", 0.05, False),
        ("error_rate = 1%", "error_rate", 0.01, False),
        ("error_rate=.01", "error_rate", 0.01, False),
        ("output_tokens_per_s < -5%", "output_tokens_per_s", -0.05, True),
        ("asr.hidden-text >= 5.%", "asr.hidden-text", 0.05, False),
    ],
)
def test_the_grammar(text: str, name: str, limit: float, is_relative: bool) -> None:
    condition = parse_condition(text, GRAMMAR)
    assert condition.name == name
    assert condition.limit == pytest.approx(limit)
    assert condition.is_relative is is_relative
    assert condition.text == text.strip()


@given(
    metric=st.sampled_from(sorted(GRAMMAR.metrics)),
    part=st.sampled_from(["", ".p95", ".mean", ".shift", ".roleplay", "_p99"]),
    operator=st.sampled_from(list(Operator)),
    sign=st.sampled_from(["", "+", "-"]),
    hundredths=st.integers(0, 10**6),
    unit=st.sampled_from([None, *Unit]),
    space=st.sampled_from(["", " ", "  "]),
)
def test_what_is_written_is_what_is_read(
    metric: str,
    part: str,
    operator: Operator,
    sign: str,
    hundredths: int,
    unit: Unit | None,
    space: str,
) -> None:
    value = hundredths / 100
    text = f"{metric}{part}{space}{operator}{space}{sign}{value}{unit or ''}"
    condition = parse_condition(text, GRAMMAR)
    assert condition.metric == metric
    assert condition.part == part.lstrip("._")
    assert condition.operator is operator
    assert abs(condition.value) == value
    assert condition.unit is unit
    assert condition.is_relative is bool(sign)


@pytest.mark.parametrize(
    "text", ["", "asr", "asr ~ 5%", "asr > ", "asr > 1.2.3", "> 5%", "asr.a.b > 5%", "asr > 5 %%"]
)
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no condition"):
        parse_condition(text, GRAMMAR)


def test_a_place_has_its_own_operators_units_and_words() -> None:
    narrow = Grammar(
        noun="objective",
        metrics=("asr",),
        operators=(Operator.ABOVE,),
        units=(Unit.PERCENT,),
        refusal="--fail-if '{text}' cannot be read",
        example="asr > 5%",
    )
    for text in ("asr < 5%", "asr > 5ms", "asr > +5%"):
        with pytest.raises(UsageError, match="cannot be read") as caught:
            parse_condition(text, narrow)
        assert caught.value.hint == "asr > 5%"
    with pytest.raises(UsageError, match="unknown objective 'asl'") as caught:
        parse_condition("asl > 5%", narrow)
    assert caught.value.hint == "did you mean 'asr'?"


def test_a_list_has_commas() -> None:
    found = parse_conditions("ttft_p95=200ms, error_rate=1%,", GRAMMAR)
    assert [condition.name for condition in found] == ["ttft.p95", "error_rate"]


def test_sides_and_surety() -> None:
    above = parse_condition("asr > 5%", GRAMMAR)
    below = parse_condition("asr < 5%", GRAMMAR)
    assert above.is_beyond(0.06)
    assert not above.is_beyond(0.05)
    assert below.is_beyond(0.04)
    assert above.is_sure(0.06, 0.2)
    assert not above.is_sure(0.04, 0.2)
    assert below.is_sure(0.01, 0.04)
    assert not below.is_sure(0.01, 0.06)
    assert above.percentile is None


@given(
    operator=st.sampled_from([">", ">=", "<", "<="]),
    limit=st.integers(0, 8),
    low=st.integers(0, 8),
    size=st.integers(0, 4),
)
def test_a_condition_that_all_values_answer_alike_is_refused(
    operator: str, limit: int, low: int, size: int
) -> None:
    condition = parse_condition(f"asr {operator} {limit}", GRAMMAR)
    answers = {condition.holds(value) for value in range(low, low + size + 1)}
    if len(answers) == 2:
        require_telling(condition, low=low, high=low + size)
        return
    word = "always holds" if answers == {True} else "never holds"
    with pytest.raises(UsageError, match=word):
        require_telling(condition, low=low, high=low + size)
