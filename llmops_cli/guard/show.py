"""The guard's decisions and rates as tables."""

from __future__ import annotations

from rich.table import Table

from llmops_cli.guard.decision import Decision
from llmops_cli.guard.evaluate import DetectionRates, Evaluation


def decision_table(text: str, decision: Decision) -> Table:
    """One row a piece of evidence."""
    table = Table(
        title=f"{decision.action} (evidence {decision.score:g}; 1 is an attack)",
        title_justify="left",
    )
    for name in ("detector", "rule", "weight", "action", "read as", "where"):
        table.add_column(name, justify="right" if name == "weight" else "left")
    for finding in decision.findings:
        start, end = finding.span
        said = finding.excerpt or text[start:end]
        said = " ".join(said.split())
        table.add_row(
            finding.detector,
            finding.rule,
            f"{finding.score:g}",
            finding.action,
            " > ".join(finding.view) or "as it is",
            "the text" if (start, end) == (0, len(text)) else f"{start}-{end}: {said[:60]}",
        )
    if decision.message:
        table.caption = decision.message
        table.caption_justify = "left"
    return table


def rates_table(found: Evaluation) -> Table:
    """Overall, then families, then sources."""
    spent = found.us_per_kb
    table = Table(
        title=f"guard: {spent.p50:g} us per KB at the median, {spent.p95:g} at p95",
        title_justify="left",
    )
    for name in ("", "attacks", "flagged", "95 %", "honest", "flagged", "95 %"):
        table.add_column(name, justify="left" if not name else "right")
    _row(table, "overall", found.overall)
    for title, groups in (("family", found.families), ("source", found.sources)):
        table.add_section()
        for name, rates in groups.items():
            _row(table, f"{title} {name}", rates)
    return table


def _row(
    table: Table,
    name: str,
    rates: DetectionRates,
) -> None:
    def cells(
        n: int,
        share: float | None,
        interval: tuple[float, float] | None,
    ) -> list[str]:
        if share is None or interval is None:
            return ["-", "-", "-"]
        return [str(n), f"{share:.1%}", f"{interval[0]:.1%} to {interval[1]:.1%}"]

    table.add_row(
        name,
        *cells(rates.n_attack, rates.tpr, rates.tpr_ci95),
        *cells(rates.n_benign, rates.fpr, rates.fpr_ci95),
    )
