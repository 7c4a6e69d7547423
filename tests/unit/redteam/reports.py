"""Red-team reports with given counts."""

from __future__ import annotations

from llmops_cli.core.report import Manifest
from llmops_cli.core.stats import share_interval
from llmops_cli.redteam.report import FamilyResult, RedteamReport


def result(successes: int, n: int) -> FamilyResult:
    return FamilyResult(
        attempts=n, successes=successes, asr=successes / n, ci95=share_interval(successes, n)
    )


def report(successes: int, n: int) -> RedteamReport:
    found = result(successes, n)
    manifest = Manifest(recipe={"model": "<script>alert(1)</script>"})
    return RedteamReport(
        manifest=manifest, attempts=n, duration_s=1, families={"extraction": found}, overall=found
    )
