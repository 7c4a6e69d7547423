"""A load test as JUnit XML."""

from __future__ import annotations

from llmops_cli.bench.report import BenchReport, Level, SloResult
from llmops_cli.core.counted import counted
from llmops_cli.show.junit import Case, junit_suite


def junit(report: BenchReport) -> str:
    """One test case per level (is it valid?) and per objective (was it met?)."""
    cases = []
    for level in report.levels:
        validity = _validity(level)
        cases.append(validity)
        for slo in level.slos:
            objective = _objective(level, slo)
            cases.append(objective)
    if not report.manifest.complete:
        partial = Case("run", "complete", "the run is partial")
        cases.append(partial)
    return junit_suite("llmops bench", cases)


def _validity(level: Level) -> Case:
    reasons = "; ".join(level.invalid_reasons)
    errors = counted(level.errors, "error")
    return Case(level.label, "valid", reasons, errors)


def _objective(level: Level, slo: SloResult) -> Case:
    failure = ""
    if not slo.met:
        failure = f"{slo.share:.2%} of the requests, {slo.needed:.4g} needed"
    return Case(level.label, slo.text, failure)
