"""A conversion, or one that is planned, as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.table import Table

from llmops_cli.convert.page import convert_page
from llmops_cli.convert.report import ConvertPlan, ConvertReport
from llmops_cli.show.runs import OpenedRun, Show
from llmops_cli.show.tables import MISSING, megabytes, number


def convert_table(report: ConvertReport) -> Table:
    """What was made, of what, by whom, and at what cost."""
    return _table(_title(report), facts_of(report))


def plan_table(plan: ConvertPlan) -> Table:
    """What would be made."""
    state = "is here" if plan.environment_is_here else "would be made"
    facts = {
        "made": plan.path,
        "weights": plan.scheme or "floats as in the file, the others as F16",
        "MB": megabytes(plan.size_bytes),
        "converter": plan.converter,
        "environment": f"{plan.environment}, which {state}",
    }
    return _table(f"{plan.model}: {plan.source_format} to {plan.format}, planned", facts)


def facts_of(report: ConvertReport) -> dict[str, str]:
    """Names with what they are, for a table or a page."""
    left_out = [f"{count} of {name}" for name, count in report.left_out.items()]
    cpu = "kept" if report.reused else number(report.cpu_s, 1)
    return {
        "made": report.path,
        "weights": f"{report.scheme or 'floats'}, {number(report.bits_per_weight, 2)} bits each",
        "MB": megabytes(report.size_bytes),
        "converter": report.converter,
        "tensors left out": ", ".join(left_out) or "none",
        "check": str(report.check) if report.check else MISSING,
        "not as the original": "; ".join(notice.text for notice in report.notices) or "nothing",
        "CPU s": cpu,
        "peak MB": megabytes(report.peak_rss_bytes),
        "loads in": ", ".join(report.loads_in) or MISSING,
    }


def _title(report: ConvertReport) -> str:
    model = report.manifest.recipe["model"]
    return f"{model}: {report.source_format} to {report.format}"


def _table(title: str, facts: Mapping[str, str]) -> Table:
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column("name")
    table.add_column("what it is", overflow="fold")
    for name, text in facts.items():
        table.add_row(name, text)
    return table


def _page(runs: Sequence[OpenedRun]) -> str:
    titled = [(_title(run.report), facts_of(run.report)) for run in runs]
    return convert_page(titled)


SHOW = Show(
    table=lambda report, word, width: convert_table(report),
    page=_page,
)
