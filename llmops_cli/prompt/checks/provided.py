"""Assertions of other packages: plain functions, entry points of `llmops.assertions`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llmops_cli.prompt.case_file.suite import Check
from llmops_cli.prompt.checks.verdict import Given, Verdict, no_verdict

Provided = Callable[[str, dict[str, Any]], Any]  # Any: the package's own


def adapted(kind: str, function: Any) -> Callable[[Check, Given], Verdict]:  # Any: as above
    """The function as one of ours; what it raises is no verdict."""

    def judge(check: Check, given: Given) -> Verdict:
        context = {
            "vars": given.variables,
            "value": check.value,
            "config": check.config,
            "question": given.question,
        }
        try:
            said = function(given.text, context)
        except Exception as error:  # noqa: BLE001 - anything may come out of another's code
            return no_verdict(f"{kind}: {type(error).__name__}: {error}")
        return _verdict(said, check)

    return judge


def _verdict(said: Any, check: Check) -> Verdict:  # Any: the package's own
    reason = ""
    if isinstance(said, dict):
        reason = str(said.get("reason") or "")
        passed = bool(said.get("pass"))
        score = float(said.get("score", 1.0 if passed else 0.0))
    elif isinstance(said, bool):
        passed = said
        score = float(said)
    elif isinstance(said, int | float):
        score = float(said)
        limit = 1.0 if check.threshold is None else check.threshold
        passed = score >= limit if check.threshold is not None else score > 0
    else:
        return no_verdict(f"{check.name} returned {type(said).__name__}, no verdict")
    if check.is_negated:
        passed = not passed
        score = 1 - score
    return Verdict(passed=passed, score=score, reason="" if passed else reason or "not passed")
