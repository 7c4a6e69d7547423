"""The guard's decisions as a table."""

from __future__ import annotations

from rich.table import Table

from llmops_cli.guard.decision import Decision
from llmops_cli.show.tables import Narrowed


def decision_table(text: str, decision: Decision) -> Narrowed:
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
    return Narrowed(table, folds=("read as", "where"))
