"""A red-team run for other tools: CSV, SARIF, JUnit."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import msgspec

from llmops_cli.core.visible import visible_line
from llmops_cli.redteam.gates import decided_of
from llmops_cli.redteam.page import redteam_page
from llmops_cli.redteam.report import FamilyResult, RedteamReport
from llmops_cli.redteam.sarif import read_successes, redteam_sarif
from llmops_cli.redteam.show import ALL
from llmops_cli.redteam.target import target_title
from llmops_cli.runtime.files import write_atomic
from llmops_cli.show.junit import Case, junit_suite


def write_files(
    report: RedteamReport,
    folder: Path,
    *,
    sarif: Path | None = None,
    junit: Path | None = None,
) -> None:
    """The page and the table beside the report, and what was asked for."""
    page = redteam_page(report).encode("utf-8", "backslashreplace")
    write_atomic(folder / "report.html", page)
    table = redteam_csv(report)
    write_atomic(folder / "report.csv", table.encode())
    if sarif is not None:
        successes = read_successes(folder, report)
        write_atomic(sarif, redteam_sarif(report, successes))
    if junit is not None:
        write_atomic(junit, redteam_junit(report).encode())


def redteam_csv(report: RedteamReport) -> str:
    """A row for each family, each mapping, and all."""
    fields = [field.name for field in msgspec.structs.fields(FamilyResult)]
    rows = [*report.families.items(), *report.mappings.items()]
    rows.append((ALL, report.overall))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["family", *fields])
    for name, result in rows:
        values = [getattr(result, field) for field in fields]
        cells = [_cell(value) for value in values]
        writer.writerow([name, *cells])
    return out.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, tuple):
        return "..".join(map(str, value))
    return value


def redteam_junit(report: RedteamReport) -> str:
    """A test case a family.

    Failed where an attack succeeded (with a guard, where one got through), and where nothing was
    decided: a target that is gone passes nothing.
    """
    cases = [_case(name, result) for name, result in report.families.items()]
    title = visible_line(target_title(report.manifest.recipe))
    return junit_suite(f"llmops redteam: {title}", cases)


def _case(name: str, result: FamilyResult) -> Case:
    through = result.successes
    if result.guarded_successes is not None:
        through = result.guarded_successes
    decided = decided_of(result)
    planned = result.planned or result.attempts
    failure = ""
    if through:
        failure = f"{through} of {decided} attempts succeed"
    elif not decided:
        failure = f"none of {planned} attempts was decided"
    output = ""
    if decided < planned:
        output = f"{decided} of {planned} attempts were decided"
    return Case(group="redteam", name=visible_line(name), failure=failure, output=output)
