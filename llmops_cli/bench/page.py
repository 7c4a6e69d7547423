"""Runs as one HTML file that needs no network.

Tables, latency CDFs, throughput against latency, time series.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from llmops_cli.bench.report import BenchReport, Level, SloResult
from llmops_cli.bench.saved import SavedRun, load_run
from llmops_cli.bench.words import NOT_OF_VECTORS, grouped_notes, is_of_vectors, missing_words
from llmops_cli.core.stats import Distribution
from llmops_cli.runtime.files import write_atomic
from llmops_cli.show.page import (
    html_badge,
    html_facts,
    html_item,
    html_row,
    html_table,
    page_shell,
)
from llmops_cli.show.tables import milliseconds
from llmops_cli.show.words import hardware_line

if TYPE_CHECKING:
    from numpy import ndarray

CDF_POINTS = 240
MOST_REQUESTS = 200_000
"""A page draws its curves from about this many requests of a run."""
CDF_METRICS = {
    "ttft_ms": "TTFT",
    "tpot_ms": "TPOT",
    "e2e_ms": "E2E",
    "normalized_ms": "E2E per token",
}
SHOWN_STATISTICS = ("p50", "p95", "p99")
MEASURES = {"ttft_ms": "TTFT", "tpot_ms": "TPOT", "itl_ms": "ITL", "e2e_ms": "E2E"}
OF_VECTORS = {"e2e_ms": "E2E"}
"""Those that embeddings have."""

Json = dict[str, object]


def page(runs: Sequence[SavedRun]) -> str:
    """The whole page. Several runs share its plots."""
    titles = [_title(run.report) for run in runs]
    sections = [_run_section(run) for run in runs]
    return page_shell(
        title=" / ".join(titles),
        body="\n".join(sections),
        data=_plots(runs),
    )


def _plots(runs: Sequence[SavedRun]) -> Json:
    """What page.js draws."""
    many = len(runs) > 1
    series = []
    for run in runs:
        for level in run.report.levels:
            if level.series:
                label = _label(run, level, many=many)
                series.append(_series(label, level))
    cdf = {}
    for metric in CDF_METRICS:
        cdf[metric] = _cdf(runs, metric, many=many)
    sweep = [_sweep(run, many=many) for run in runs]
    return {
        "cdf": cdf,
        "cdfNames": CDF_METRICS,
        "sweep": sweep,
        "speed": _speed_name(runs[0].report),
        "series": series,
    }


def _sweep(run: SavedRun, *, many: bool) -> Json:
    name = ""
    if many:
        name = run.name
    points = [_sweep_point(level) for level in run.report.levels]
    return {"run": name, "points": points}


def _title(report: BenchReport) -> str:
    recipe = report.manifest.recipe
    return f"{recipe.get('model')} on {recipe.get('url') or recipe.get('backend')}"


def _label(
    run: SavedRun,
    level: Level,
    *,
    many: bool,
) -> str:
    if many:
        return f"{run.name}: {level.label}"
    return level.label


def _cdf(
    runs: Sequence[SavedRun],
    metric: str,
    *,
    many: bool,
) -> Json | None:
    """Shares of requests at or below a common grid of values; None without per-request data."""
    import numpy as np

    found = list(_sorted_values(runs, metric, many=many))
    if not found:
        return None
    low = math.inf
    high = 0.0
    for _, values in found:
        first, last = np.quantile(values, (0.001, 0.999))
        low = min(low, float(first))
        high = max(high, float(last))
    end = max(high * 1.03, low * 1.05)
    grid = np.geomspace(low * 0.97, end, CDF_POINTS)
    names = []
    shares = []
    for name, values in found:
        names.append(name)
        shares.append(_shares(values, grid))
    return {
        "x": [float(f"{x:.5g}") for x in grid],
        "names": names,
        "y": shares,
    }


def _sorted_values(
    runs: Sequence[SavedRun],
    metric: str,
    *,
    many: bool,
) -> Iterator[tuple[str, ndarray]]:
    """The positive values of each level that has some."""
    import numpy as np

    for run in runs:
        if run.requests is None:
            continue
        for number, level in enumerate(run.report.levels):
            mask = run.requests.measured(number, level)
            values = run.requests[metric][mask]
            is_known = ~np.isnan(values)
            usable = is_known & (values > 0)
            ordered = np.sort(values[usable])
            if len(ordered):
                yield _label(run, level, many=many), ordered


def _shares(values: ndarray, grid: ndarray) -> list[float]:
    import numpy as np

    counts = np.searchsorted(values, grid, "right")
    below = counts / len(values)
    return [round(float(share), 5) for share in below]


def _speed_name(report: BenchReport) -> str:
    return "texts/s" if is_of_vectors(report) else "output tokens/s"


def _speed(level: Level) -> float:
    if level.texts_per_s is not None:
        return level.texts_per_s
    return level.output_tokens_per_s


def _sweep_point(level: Level) -> Json:
    point: Json = {"label": level.label, "tokens": _speed(level)}
    for name in MEASURES:
        found: Distribution = getattr(level, name)
        point[f"{name}_p50"] = found.p50
        point[f"{name}_p95"] = found.p95
    return point


def _series(name: str, level: Level) -> Json:
    points = level.series
    columns: Json = {
        "output tokens/s": [point.output_tokens_per_s for point in points],
        "requests/s": [point.requests_per_s for point in points],
        "in flight": [point.in_flight for point in points],
        "TTFT p50 ms": [point.ttft_ms_p50 for point in points],
        "TTFT p95 ms": [point.ttft_ms_p95 for point in points],
    }
    errors = [float(point.errors) for point in points]
    if any(errors):
        columns["errors"] = errors
    engine = [point.engine for point in points]
    server = [point.server for point in points]
    columns |= _sampled("engine", engine)
    columns |= _sampled("server", server)
    return {
        "name": name,
        "windows": _steady_windows(level),
        "t": [point.t_s for point in points],
        "columns": columns,
    }


def _sampled(kind: str, samples: Sequence[Mapping[str, float]]) -> Json:
    """What was sampled beside the load, a column for each name."""
    names: set[str] = set()
    for sample in samples:
        names.update(sample)
    columns: Json = {}
    for name in sorted(names):
        columns[f"{kind}: {name}"] = [sample.get(name) for sample in samples]
    return columns


def _steady_windows(level: Level) -> list[list[float]]:
    """Of the repetition that the series shows."""
    if not level.windows:
        return []
    window = level.windows[0]
    if window.found != "steady":
        return []
    return [[window.start_s, window.end_s]]


def _run_section(run: SavedRun) -> str:
    report = run.report
    title = escape(_title(report))
    name = f"<small>{escape(run.name)}</small>"
    heading = " ".join([title, name, *_badges(report)])
    items = "".join(_items(report))
    return (
        f"<section><h2>{heading}</h2>{_table(report)}<ul>{items}</ul>"
        f"<details><summary>About this run</summary>{html_facts(_facts(run))}</details></section>"
    )


def _badges(report: BenchReport) -> Iterator[str]:
    if not report.manifest.complete:
        yield html_badge("partial")
    are_valid = all(level.valid for level in report.levels)
    if not are_valid:
        yield html_badge("INVALID")


def _facts(run: SavedRun) -> dict[str, str]:
    manifest = run.report.manifest
    versions = [f"{name} {version}" for name, version in manifest.versions.items()]
    return {
        "run": run.name,
        "when": f"{manifest.started_at}, {manifest.duration_s:,.0f} s",
        "machine": hardware_line(manifest.hardware),
        "versions": ", ".join(versions),
        "command": " ".join(manifest.argv),
    }


def _items(report: BenchReport) -> Iterator[str]:
    """What the levels say beside their numbers."""
    if report.finding.text:
        yield html_item(report.finding.text)
    for level in report.levels:
        for reason in level.invalid_reasons:
            yield html_item(f"{level.label}: INVALID: {reason}", kind="bad")
        for slo in level.slos:
            yield _slo_item(level, slo)
    if is_of_vectors(report):
        yield html_item(NOT_OF_VECTORS)
    for line in (*missing_words(report.levels), *grouped_notes(report.levels)):
        yield html_item(line)


def _slo_item(level: Level, slo: SloResult) -> str:
    low, high = slo.share_ci95
    outcome = "met" if slo.met else "missed"
    return html_item(
        f"{level.label}: {slo.text} {outcome}: {slo.share:.1%} ({low:.1%} to {high:.1%}), "
        f"{slo.needed * 100:.4g}% needed",
        kind="good" if slo.met else "bad",
    )


def _table(report: BenchReport) -> str:
    heads = ["load", "requests", "errors"]
    measures = OF_VECTORS if is_of_vectors(report) else MEASURES
    for name in measures.values():
        heads += [f"{name} {statistic} ms" for statistic in SHOWN_STATISTICS]
    asked_for = _asked_for(report.levels)
    heads += ["req/s", _speed_name(report), *asked_for, "measured"]
    rows = [_table_row(level, measures, asked_for) for level in report.levels]
    return html_table(heads, rows)


def _asked_for(levels: Sequence[Level]) -> list[str]:
    """Columns that only --slo and --gpu-hour fill."""
    asked: dict[str, None] = {}
    for level in levels:
        asked |= dict.fromkeys(name for name, cell in _extras(level).items() if cell)
    return list(asked)


def _extras(level: Level) -> dict[str, str]:
    """Column -> cell, empty where nobody asked for it."""
    return {
        "goodput/s": _figure(level.goodput_per_s, decimals=2),
        "$/1M tok": _figure(level.usd_per_million_tokens, decimals=2),
        "$/1k req": _figure(level.usd_per_1k_requests, decimals=4),
    }


def _table_row(
    level: Level,
    measures: Mapping[str, str],
    asked_for: Sequence[str],
) -> str:
    name = escape(level.label)
    cells = [name, str(level.requests), str(level.errors)]
    for measure in measures:
        found = getattr(level, measure)
        cells += [_cell(found, statistic) for statistic in SHOWN_STATISTICS]
    cells += [f"{level.requests_per_s:.2f}", f"{_speed(level):,.1f}"]
    extras = _extras(level)
    cells += [extras[name] for name in asked_for]
    cells.append(_window_words(level))
    kind = "" if level.valid else "bad"
    return html_row(cells, kind=kind)


def _figure(value: float | None, *, decimals: int) -> str:
    return "" if value is None else f"{value:,.{decimals}f}"


def _window_words(level: Level) -> str:
    if not level.windows:
        return ""
    window = level.windows[0]
    return f"{window.start_s:.1f}-{window.end_s:.1f} s ({window.found})"


def _cell(found: Distribution, statistic: str) -> str:
    value = getattr(found, statistic)
    if value is None:
        return "-"
    interval = found.ci95.get(statistic)
    if interval is None:
        return f"<span>{milliseconds(value)}</span>"
    low, high = map(milliseconds, interval)
    return f'<span title="95 % interval: {low} to {high} ms">{milliseconds(value)}</span>'


def save_page(folder: Path, report: BenchReport) -> Path:
    """The page of a run beside its report. Raises: EnvironmentMissing if it cannot be written."""
    target = folder / "report.html"
    run = load_run(folder, report, most=MOST_REQUESTS)
    html = page([run])
    write_atomic(target, html.encode())
    return target
