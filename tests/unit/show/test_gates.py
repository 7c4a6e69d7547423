"""What a gate says of many judged rows."""

from __future__ import annotations

from llmops_cli.show.gates import ConditionOutcome, JudgedCondition, verdict_words


def row(
    condition: str,
    outcome: ConditionOutcome,
    *,
    load: str = "1 stream",
    asked: bool = True,
) -> JudgedCondition:
    return JudgedCondition(
        condition=condition, load=load, outcome=outcome, text="+22 %", asked=asked
    )


WARNED = row("same engine", ConditionOutcome.WARNED, asked=False)
FAILED = row("ttft_ms.p95 > +10%", ConditionOutcome.FAILED)
FAILED_TOO = row("ttft_ms.p95 > +10%", ConditionOutcome.UNKNOWN, load="4 streams")
PASSED = row("error_rate > 1%", ConditionOutcome.PASSED)


def test_conditions_are_counted_and_not_what_the_gate_looks_at_of_itself() -> None:
    said = verdict_words([WARNED, FAILED, FAILED_TOO, PASSED])
    assert said == "1 of 2 conditions not passed; ttft_ms.p95 > +10% at 1 stream: +22 %"


def test_runs_that_are_unlike_break_no_condition() -> None:
    unlike = row("same workload", ConditionOutcome.UNKNOWN, asked=False)
    said = verdict_words([unlike, PASSED])
    assert said == "these runs cannot be judged; same workload at 1 stream: +22 %"
    assert verdict_words([WARNED, PASSED]) is None
