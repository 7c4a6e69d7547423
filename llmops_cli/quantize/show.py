"""Quantized artifacts and inspected models as tables."""

from __future__ import annotations

from rich.table import Table

from llmops_cli.quantize.choice import pareto_front
from llmops_cli.quantize.report import Inspection, QuantizeReport
from llmops_cli.show.runs import Show
from llmops_cli.show.tables import megabytes, number


def quantize_table(report: QuantizeReport) -> Table:
    """One row an artifact; a star marks the Pareto front of size and KL divergence when there are
    several.
    """
    front = pareto_front(report.artifacts) if len(report.artifacts) > 1 else set()
    table = Table(
        title=f"{report.manifest.recipe['model']}: size, quality and cost", title_justify="left"
    )
    for name in (
        "artifact",
        "MB",
        "of base",
        "bits/weight",
        "perplexity",
        "vs base",
        "rounded",
        "KL nats",
        "rounded",
        "same top-1",
        "CPU s",
        "peak MB",
        "served by",
        "tok/s",
    ):
        table.add_column(name, justify="left" if name in ("artifact", "served by") else "right")
    for a in report.artifacts:
        change = (
            a.perplexity / a.perplexity_base - 1 if a.perplexity and a.perplexity_base else None
        )
        plain = (
            a.perplexity_rounding / a.perplexity_base - 1
            if a.perplexity_rounding and a.perplexity_base
            else None
        )
        table.add_row(
            f"{a.name or a.scheme}{' *' if a.name in front else ''}",
            megabytes(a.size_bytes),
            f"{a.size_bytes / a.size_base_bytes:.0%}" if a.size_base_bytes else "-",
            number(a.bits_per_weight, 2),
            number(a.perplexity, 4),
            "-" if change is None else f"{change:+.2%}",
            "-" if plain is None else f"{plain:+.2%}",
            number(a.kl_divergence, 5),
            number(a.kl_rounding, 5),
            "-" if a.top1_agreement is None else f"{a.top1_agreement:.1%}",
            "kept" if a.reused else number(a.cpu_s, 1),
            megabytes(a.peak_rss_bytes),
            a.served.engine if a.served else "-",
            number(a.served.output_tokens_per_s if a.served else None, 0),
        )
    notes = [f"{a.name}: {problem}" for a in report.artifacts for problem in a.problems]
    notes += _accuracy_notes(report)
    for a in report.artifacts:
        if a.kl_divergence and a.kl_rounding and a.kl_divergence > a.kl_rounding:
            notes.append(f"{a.name} is worse than plain rounding at the same bits and groups")
    if front:
        notes.append("* nothing here is both smaller and nearer to the base")
    table.caption = "\n".join([*notes, *(a.path for a in report.artifacts)])
    table.caption_justify = "left"
    return table


def _accuracy_notes(report: QuantizeReport) -> list[str]:
    """A line a task: the base, then each artifact. The demo's skills are told by their average."""
    lines = []
    for evaluator, tasks in report.accuracy_base.items():
        for task in ["average"] if "average" in tasks else tasks:
            each = [
                f"{a.name} {a.served.accuracy[evaluator][task]:.3f}"
                for a in report.artifacts
                if a.served and evaluator in a.served.accuracy
            ]
            lines.append(
                f"{evaluator} {task}: base {tasks[task]:.3f}"
                + "".join(f", {part}" for part in each)
            )
    return lines


def inspection_table(found: Inspection) -> Table:
    """What `llmops quantize inspect` shows."""
    how = " ".join(
        str(part)
        for part in (
            found.scheme,
            f"groups of {found.group_size}" if found.group_size else None,
            None if found.symmetric is None else "symmetric" if found.symmetric else "asymmetric",
        )
        if part
    )
    table = Table(
        title=f"{found.path}: {found.format}, {found.architecture or 'unknown architecture'} {how}".rstrip(),
        title_justify="left",
    )
    for name in ("tensors of", "number", "MB", "types"):
        table.add_column(name, justify="right" if name in ("number", "MB") else "left")
    for kind in found.kinds:
        types = ", ".join(f"{count} {name}" for name, count in kind.types.items())
        table.add_row(kind.kind, str(kind.tensors), f"{kind.bytes / 1e6:,.2f}", types)
    lines = [
        f"{found.size_bytes / 1e6:,.1f} MB; loads in {', '.join(found.loads_in) or 'none of our engines'}"
    ]
    if found.made_from:
        lines.append(f"made from {found.made_from} ({(found.made_from_digest or '')[:19]})")
    table.caption = "\n".join(lines)
    table.caption_justify = "left"
    return table


SHOW = Show(table=lambda report, word, width: quantize_table(report))
