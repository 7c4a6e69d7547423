"""Reports as rich tables."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.markup import escape
from rich.table import Table

from llmops_cli.core.report import (
    BenchReport,
    Comparison,
    Inspection,
    Level,
    PipelineReport,
    QuantizeReport,
    RedteamReport,
    Report,
    TrainReport,
)
from llmops_cli.core.stats import Distribution
from llmops_cli.report.choice import pareto_front
from llmops_cli.report.export import change_words, values_words
from llmops_cli.report.redteam import redteam_table


def _ms(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.2f}" if value < 10 else f"{value:,.1f}" if value < 1000 else f"{value:,.0f}"


def megabytes(value: int | None) -> str:
    return "-" if value is None else f"{value / 1e6:,.1f}"


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def _pair(distribution: Distribution) -> str:
    return f"{_ms(distribution.p50)} / {_ms(distribution.p99)}"


WIDE = 165
MIDDLE = 110
"""Columns of a terminal from which on a table has its intervals and windows, and its p99."""


def _spread(distribution: Distribution, width: int) -> str:
    p50 = _ms(distribution.p50)
    p95 = _ms(distribution.p95)
    p99 = _ms(distribution.p99)
    if width < MIDDLE:
        return f"{p50}  {p95}"
    low, high = distribution.ci95.get("p50", (None, None))
    if width < WIDE or low is None or high is None or distribution.p50 is None:
        return f"{p50}  {p95}  {p99}"
    return f"{p50} ±{_ms(max(high - distribution.p50, distribution.p50 - low))}  {p95}  {p99}"


def bench_table(report: BenchReport, *, word: str = "", width: int = 180) -> Table:
    """`word` says what is special about the run, such as `partial`; a narrow table has fewer
    statistics.
    """
    recipe = report.manifest.recipe
    where = f"{recipe['url']} " if recipe.get("url") else f"{recipe['backend']} "
    shown = (
        "p50, p95"
        if width < MIDDLE
        else "p50, p95, p99"
        if width < WIDE
        else "p50 ± its 95 % interval, p95, p99"
    )
    title = f"{where}{recipe['model']}: {shown} in ms"
    table = Table(
        title=f"{title}  [bold red]{word}[/]" if word else title,
        title_justify="left",
        box=box.SIMPLE_HEAD if width < WIDE else box.HEAVY_HEAD,
        padding=(0, 0) if width < WIDE else (0, 1),
    )
    goodput = any(level.goodput_per_s is not None for level in report.levels)
    columns = [
        "requests",
        "errors",
        "TTFT",
        "TPOT",
        "E2E",
        *(["req/s"] if width >= MIDDLE else []),
        "tok/s",
        *(["goodput/s"] if goodput else []),
        *(["measured"] if width >= WIDE else []),
        "valid",
    ]
    table.add_column("load", no_wrap=True)
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    for level in report.levels:
        cells = {
            "requests": str(level.requests),
            "errors": f"[red]{level.errors}[/]" if level.errors else "0",
            "TTFT": _spread(level.ttft_ms, width),
            "TPOT": _spread(level.tpot_ms, width),
            "E2E": _spread(level.e2e_ms, width),
            "req/s": _number(level.requests_per_s, 2),
            "tok/s": _number(level.output_tokens_per_s, 1 if width >= WIDE else 0),
            "goodput/s": _number(level.goodput_per_s, 2),
            "measured": _windows(level),
            "valid": "yes" if level.valid else "[bold red]INVALID[/]",
        }
        table.add_row(
            level.label or f"{level.concurrency} streams", *(cells[name] for name in columns)
        )
    if not report.levels:
        table.caption = "no request had ended"
        return table
    table.caption = "\n".join(_captions(report))
    table.caption_justify = "left"
    table.caption_style = ""
    return table


def _windows(level: Level) -> str:
    """Which seconds count, and whether they are a steady state."""
    if not level.windows:
        return "-"
    first = level.windows[0]
    more = f" x{len(level.windows)}" if len(level.windows) > 1 else ""
    return f"{first.start_s:.1f}-{first.end_s:.1f} s{more}{'' if first.found == 'steady' else ' (all)'}"


def _captions(report: BenchReport) -> list[str]:
    lines = [report.finding.text] if report.finding.text else []
    for level in report.levels:
        lines += [
            f"[bold red]INVALID[/] {level.label}: {escape(reason)}"
            for reason in level.invalid_reasons
        ]
        for slo in level.slos:
            low, high = slo.share_ci95
            lines.append(
                f"{level.label}: {slo.text} {'met' if slo.met else 'missed'}: "
                f"{slo.share:.1%} ({low:.1%} to {high:.1%}) of the requests, {slo.needed * 100:.4g}% needed"
            )
    notes: dict[str, list[str]] = {}
    for level in report.levels:
        for note in level.notes:
            notes.setdefault(note, []).append(level.label)
    for note, labels in notes.items():
        lines.append(
            escape(note)
            if len(labels) == len(report.levels)
            else f"{', '.join(labels)}: {escape(note)}"
        )
    rss = report.memory.engine_peak_rss_bytes
    gpu = report.memory.engine_peak_gpu_bytes
    if rss is not None:
        lines.append(
            f"engine peak memory {rss / 1e6:,.0f} MB"
            + (f", GPU {gpu / 1e6:,.0f} MB" if gpu else "")
        )
    return lines


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
            _number(a.bits_per_weight, 2),
            _number(a.perplexity, 4),
            "-" if change is None else f"{change:+.2%}",
            "-" if plain is None else f"{plain:+.2%}",
            _number(a.kl_divergence, 5),
            _number(a.kl_rounding, 5),
            "-" if a.top1_agreement is None else f"{a.top1_agreement:.1%}",
            "kept" if a.reused else _number(a.cpu_s, 1),
            megabytes(a.peak_rss_bytes),
            a.served.engine if a.served else "-",
            _number(a.served.output_tokens_per_s if a.served else None, 0),
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


def pipeline_table(report: PipelineReport) -> Table:
    table = Table(title="comparison", title_justify="left")
    for name in (
        "model",
        "MB",
        "bits/weight",
        "perplexity",
        "KL nats",
        "task",
        "streams",
        "TTFT ms",
        "TPOT ms",
        "output tok/s",
        "peak MB",
    ):
        table.add_column(name, justify="right")
    for row in report.rows:
        head = [
            row.name,
            megabytes(row.size_bytes),
            _number(row.bits_per_weight, 2),
            _number(row.perplexity, 4),
            _number(row.kl_divergence, 5),
            "-" if row.task_accuracy is None else f"{row.task_accuracy:.1%}",
        ]
        for i, level in enumerate(row.levels):
            streams = str(level.concurrency) + ("" if level.valid else " [bold red]INVALID[/]")
            table.add_row(
                *(head if i == 0 else [""] * len(head)),
                streams,
                _pair(level.ttft_ms),
                _pair(level.tpot_ms),
                _number(level.output_tokens_per_s, 0),
                megabytes(row.engine_peak_rss_bytes) if i == 0 else "",
                end_section=i == len(row.levels) - 1,
            )
        if not row.levels:
            table.add_row(*head, "-", "-", "-", "-", "-")
    return table


def table_of(report: Report, *, word: str = "", width: int = 180) -> Table:
    """Any report."""
    match report:
        case BenchReport():
            return bench_table(report, word=word, width=width)
        case QuantizeReport():
            return quantize_table(report)
        case PipelineReport():
            return pipeline_table(report)
        case RedteamReport():
            return redteam_table(report)
        case TrainReport():
            return _train_table(report)


def _train_table(report: TrainReport) -> Table:
    table = Table(title=report.path, title_justify="left")
    for name in ("parameters", "steps", "loss", "tokens", "tokens/s", "CPU s"):
        table.add_column(name, justify="right")
    table.add_row(
        f"{report.parameters:,}",
        str(report.steps),
        _number(report.loss, 4),
        f"{report.tokens:,}",
        _number(report.tokens_per_s, 0),
        _number(report.cpu_s, 1),
    )
    return table


def run_list(runs: Sequence[tuple[str, Report, str]]) -> list[dict[str, object]]:
    """(folder, report, word) as rows for --json."""
    rows: list[dict[str, object]] = []
    for folder, report, word in runs:
        kind = report.schema.removeprefix("llmops.").split("/")[0]
        row: dict[str, object] = {
            "folder": folder,
            "kind": kind,
            "when": report.manifest.started_at,
            "state": word,
        }
        row["model"] = report.manifest.recipe.get("model")
        if isinstance(report, BenchReport):
            row["backend"] = report.manifest.recipe.get("url") or report.manifest.recipe.get(
                "backend"
            )
            row["valid"] = all(level.valid for level in report.levels)
            row["best_output_tokens_per_s"] = max(
                (level.output_tokens_per_s for level in report.levels), default=None
            )
            row["lowest_ttft_ms_p50"] = min(
                (x.ttft_ms.p50 for x in report.levels if x.ttft_ms.p50), default=None
            )
        rows.append(row)
    return rows


def run_list_table(runs: Sequence[tuple[str, Report, str]]) -> Table:
    table = Table()
    for name in ("when", "kind", "model", "on", "best tok/s", "TTFT p50 from", "", "folder"):
        table.add_column(
            name, justify="right" if name in ("best tok/s", "TTFT p50 from") else "left"
        )
    for row in run_list(runs):
        best = row.get("best_output_tokens_per_s")
        ttft = row.get("lowest_ttft_ms_p50")
        table.add_row(
            str(row["when"])[:19],
            str(row["kind"]),
            str(row["model"] or "-"),
            str(row.get("backend") or "-"),
            f"{best:,.0f}" if isinstance(best, float) else "-",
            _ms(ttft if isinstance(ttft, float) else None),
            str(row["state"]) or ("" if row.get("valid", True) else "[bold red]INVALID[/]"),
            str(row["folder"]),
        )
    return table


def matrix_table(
    corner: str, columns: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]]
) -> Table:
    """Any grid of words."""
    table = Table(show_lines=False)
    table.add_column(corner, no_wrap=True)
    for name in columns:
        table.add_column(name, overflow="fold")
    for name, cells in rows:
        table.add_row(name, *cells)
    return table


COLORS = {
    "faster": "green",
    "fewer errors": "green",
    "slower": "bold red",
    "more errors": "bold red",
}


def comparison_table(found: Comparison) -> Table:
    """Baseline beside current, and whether the change is real."""
    table = Table(title=f"{found.current} against {found.baseline}", title_justify="left")
    for name in (
        "load",
        "metric",
        "baseline",
        "current",
        "change",
        "95 % interval",
        "p",
        "P(faster)",
        "verdict",
    ):
        table.add_column(
            name,
            justify="left" if name in ("load", "metric", "verdict") else "right",
            no_wrap=name != "95 % interval",
        )
    last = None
    for d in found.differences:
        change, interval = change_words(d)
        color = COLORS.get(d.verdict)
        verdict = f"[{color}]{d.verdict}[/]" if color else d.verdict
        table.add_row(
            d.load if d.load != last else "",
            d.metric,
            *values_words(d),
            change,
            interval,
            f"{d.p:.3f}" if d.p >= 0.001 else "<0.001",
            _number(d.superiority, 2),
            verdict,
        )
        last = d.load
    table.caption = "p is adjusted for the number of rows; P(faster): the chance that a request is faster than in the baseline"
    table.caption_justify = "left"
    table.caption_style = "dim"
    return table
