"""Runs as one HTML file that needs no network: tables, latency CDFs, throughput against latency,
time series.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from llmops_cli.bench.compare import SavedRun, load_run
from llmops_cli.bench.report import BenchReport, Level
from llmops_cli.core.stats import Distribution
from llmops_cli.runtime.files import write_atomic
from llmops_cli.show.words import hardware_line

if TYPE_CHECKING:
    from numpy import ndarray

ASSETS = Path(__file__).parent.parent / "show" / "assets"
CDF_POINTS = 240
MOST_REQUESTS = 200_000
"""A page draws its curves from about this many requests of a run."""
CDF_METRICS = {
    "ttft_ms": "TTFT",
    "tpot_ms": "TPOT",
    "e2e_ms": "E2E",
    "normalized_ms": "E2E per token",
}
MEASURES = {"ttft_ms": "TTFT", "tpot_ms": "TPOT", "e2e_ms": "E2E"}

Json = dict[str, object]


def page(runs: Sequence[SavedRun]) -> str:
    """The whole page. Several runs share its plots."""
    many = len(runs) > 1
    titles = [_title(run.report) for run in runs]
    data = {
        "cdf": {metric: _cdf(runs, metric, many=many) for metric in CDF_METRICS},
        "cdfNames": CDF_METRICS,
        "sweep": [
            {
                "run": run.name if many else "",
                "points": [_sweep_point(level) for level in run.report.levels],
            }
            for run in runs
        ],
        "series": [
            _series(_label(run, level, many=many), level)
            for run in runs
            for level in run.report.levels
            if level.series
        ],
    }
    body = "\n".join(_run_section(run, title) for run, title in zip(runs, titles, strict=True))
    return (
        (ASSETS / "page.html")
        .read_text()
        .replace("__TITLE__", escape(" / ".join(titles)))
        .replace(
            "__STYLE__", (ASSETS / "uPlot.min.css").read_text() + (ASSETS / "page.css").read_text()
        )
        .replace("__BODY__", body)
        .replace("__DATA__", msgspec.json.encode(data).decode().replace("<", "\\u003c"))
        .replace(
            "__SCRIPT__",
            (ASSETS / "uPlot.iife.min.js").read_text() + "\n" + (ASSETS / "page.js").read_text(),
        )
    )


def _title(report: BenchReport) -> str:
    recipe = report.manifest.recipe
    return f"{recipe.get('model')} on {recipe.get('url') or recipe.get('backend')}"


def _label(run: SavedRun, level: Level, *, many: bool) -> str:
    return f"{run.name}: {level.label}" if many else level.label


def _cdf(runs: Sequence[SavedRun], metric: str, *, many: bool) -> Json | None:
    """Shares of requests at or below a common grid of values; None without per-request data."""
    import numpy as np

    found: list[tuple[str, ndarray]] = []
    for run in runs:
        for number, level in enumerate(run.report.levels):
            if run.requests is None:
                continue
            values = run.requests[metric][run.requests.measured(number, level)]
            values = np.sort(values[~np.isnan(values) & (values > 0)])
            if len(values):
                found.append((_label(run, level, many=many), values))
    if not found:
        return None
    low = min(float(np.quantile(values, 0.001)) for _, values in found)
    high = max(float(np.quantile(values, 0.999)) for _, values in found)
    grid = np.geomspace(low * 0.97, max(high * 1.03, low * 1.05), CDF_POINTS)
    shares = [np.searchsorted(values, grid, "right") / len(values) for _, values in found]
    return {
        "x": [float(f"{x:.5g}") for x in grid],
        "names": [name for name, _ in found],
        "y": [[round(float(y), 5) for y in share] for share in shares],
    }


def _sweep_point(level: Level) -> Json:
    return {
        "label": level.label,
        "tokens": level.output_tokens_per_s,
        **{
            f"{name}_{q}": getattr(getattr(level, name), q)
            for name in MEASURES
            for q in ("p50", "p95")
        },
    }


def _series(name: str, level: Level) -> Json:
    points = level.series
    extras = {
        kind: sorted({key for p in points for key in getattr(p, kind)})
        for kind in ("engine", "server")
    }
    return {
        "name": name,
        "windows": [[w.start_s, w.end_s] for w in level.windows[:1] if w.found == "steady"],
        "t": [point.t_s for point in points],
        "columns": {
            "output tokens/s": [point.output_tokens_per_s for point in points],
            "requests/s": [point.requests_per_s for point in points],
            "in flight": [point.in_flight for point in points],
            "TTFT p50 ms": [point.ttft_ms_p50 for point in points],
            "TTFT p95 ms": [point.ttft_ms_p95 for point in points],
            **(
                {"errors": [float(p.errors) for p in points]}
                if any(p.errors for p in points)
                else {}
            ),
            **{
                f"{kind}: {key}": [getattr(point, kind).get(key) for point in points]
                for kind, keys in extras.items()
                for key in keys
            },
        },
    }


def _run_section(run: SavedRun, title: str) -> str:
    manifest = run.report.manifest
    badges = [] if manifest.complete else ['<span class="bad">partial</span>']
    if any(not level.valid for level in run.report.levels):
        badges.append('<span class="bad">INVALID</span>')
    facts = {
        "run": run.name,
        "when": f"{manifest.started_at}, {manifest.duration_s:,.0f} s",
        "machine": hardware_line(manifest.hardware),
        "versions": ", ".join(f"{name} {version}" for name, version in manifest.versions.items()),
        "command": " ".join(manifest.argv),
    }
    lines = "".join(f"<dt>{name}</dt><dd>{escape(text)}</dd>" for name, text in facts.items())
    notes = [f"<li>{escape(run.report.finding.text)}</li>"] if run.report.finding.text else []
    said: dict[str, list[str]] = {}
    for level in run.report.levels:
        for text in level.notes:
            said.setdefault(text, []).append(level.label)
        notes += [
            f'<li class="bad">{escape(level.label)}: INVALID: {escape(text)}</li>'
            for text in level.invalid_reasons
        ]
        notes += [
            f'<li class="{"good" if slo.met else "bad"}">{escape(level.label)}: {escape(slo.text)} '
            f"{'met' if slo.met else 'missed'}: {slo.share:.1%} ({slo.share_ci95[0]:.1%} to {slo.share_ci95[1]:.1%})"
            f", {slo.needed:.4g} needed</li>"
            for slo in level.slos
        ]
    every = len(run.report.levels)
    for text, labels in said.items():
        notes.append(
            f"<li>{'' if len(labels) == every else escape(', '.join(labels)) + ': '}{escape(text)}</li>"
        )
    return (
        f"<section><h2>{escape(title)} <small>{escape(run.name)}</small> {' '.join(badges)}</h2>{_table(run.report)}"
        f"<ul>{''.join(notes)}</ul><details><summary>About this run</summary><dl>{lines}</dl></details></section>"
    )


def _table(report: BenchReport) -> str:
    heads = ["load", "requests", "errors"]
    heads += [f"{name} {q}" for name in MEASURES.values() for q in ("p50", "p95", "p99")]
    heads += ["req/s", "output tok/s", "goodput/s", "measured"]
    rows = "".join(_table_row(level) for level in report.levels)
    return (
        '<div class="wide"><table><thead><tr>'
        + "".join(f"<th>{escape(head)}</th>" for head in heads)
        + f"</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _table_row(level: Level) -> str:
    cells = [escape(level.label), str(level.requests), str(level.errors)]
    for name in MEASURES:
        cells += [_cell(getattr(level, name), q) for q in ("p50", "p95", "p99")]
    goodput = "" if level.goodput_per_s is None else f"{level.goodput_per_s:.2f}"
    window = level.windows[0] if level.windows else None
    span = f"{window.start_s:.1f}-{window.end_s:.1f} s ({window.found})" if window else ""
    cells += [f"{level.requests_per_s:.2f}", f"{level.output_tokens_per_s:,.1f}", goodput, span]
    kind = "" if level.valid else ' class="bad"'
    return f"<tr{kind}>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _cell(found: Distribution, statistic: str) -> str:
    value = getattr(found, statistic)
    if value is None:
        return "-"
    low, high = found.ci95.get(statistic, (None, None))
    hint = "" if low is None else f' title="95 % interval: {low:.4g} to {high:.4g} ms"'
    return f"<span{hint}>{value:,.4g}</span>"


def save_page(folders: Sequence[tuple[Path, BenchReport]], target: Path) -> None:
    """The page of saved runs. Raises: EnvironmentMissing if it cannot be written."""
    runs = [load_run(folder, report, most=MOST_REQUESTS) for folder, report in folders]
    write_atomic(target, page(runs).encode())
