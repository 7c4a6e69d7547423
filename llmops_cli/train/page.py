"""Training runs as one HTML file that needs no network: curves, the plan, the data, the machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path

from llmops_cli.core.counted import counted
from llmops_cli.core.report import Manifest
from llmops_cli.runtime.files import write_atomic
from llmops_cli.show.page import (
    html_facts,
    html_item,
    html_row,
    html_table,
    page_shell,
)
from llmops_cli.show.runs import OpenedRun
from llmops_cli.show.words import hardware_line
from llmops_cli.train.report import Curve, TrainReport, answers_in

WIDE_LOSSES = 30.0
"""Beyond this ratio of the largest to the smallest loss the plot is logarithmic."""
PARTS = ("weights", "gradients", "optimizer", "activations", "total")
Json = dict[str, object]


def page(runs: Sequence[OpenedRun]) -> str:
    """One page; several runs share each plot."""
    body = "".join(_section(run) for run in runs)
    title = ", ".join(_title(run.report) for run in runs)
    return page_shell(title=title, body=body, data=_plots(runs), plots="training")


def _title(report: TrainReport) -> str:
    model = report.manifest.recipe.get("model") or Path(report.path).name
    return f"{model}: {report.strategy} on {report.world_size}, loss {report.loss:.4f}"


def _plots(runs: Sequence[OpenedRun]) -> Json:
    return {
        "loss": list(_losses(runs)),
        "logarithmic": _is_wide(runs),
        "norm": [_curve(_name(run, runs, "norm"), run.report.grad_norm_curve) for run in runs],
        "rate": [_curve(_name(run, runs, "rate"), run.report.learning_rate_curve) for run in runs],
        "speed": [
            _curve(_name(run, runs, "tokens/s"), run.report.tokens_per_s_curve) for run in runs
        ],
    }


def _losses(runs: Sequence[OpenedRun]) -> Iterator[Json]:
    """Each run's own, and that of what it held out."""
    for run in runs:
        yield _curve(_name(run, runs, "loss"), run.report.loss_curve)
        held_out = [(each.step, each.loss) for each in run.report.validation]
        yield {**_curve(_name(run, runs, "held out"), held_out), "dots": True}


def _name(run: OpenedRun, runs: Sequence[OpenedRun], what: str) -> str:
    """Without the run's where there is one."""
    return f"{run.name} {what}" if len(runs) > 1 else what


def _curve(name: str, points: Curve) -> Json:
    return {"name": name, "points": points}


def _is_wide(runs: Sequence[OpenedRun]) -> bool:
    values = [loss for run in runs for _, loss in run.report.loss_curve if loss > 0]
    return bool(values) and max(values) / min(values) > WIDE_LOSSES


def _section(run: OpenedRun) -> str:
    report: TrainReport = run.report
    items = "".join(_items(report))
    name = f"<small>{escape(run.name)}</small>"
    return (
        f"<section><h2>{escape(_title(report))} {name}</h2>{html_facts(_facts(report))}"
        f"<ul>{items}</ul>{_plan(report)}{_validation(report)}{_answers(report)}{_data(report)}"
        f"<details><summary>About this run</summary>{html_facts(_about(report.manifest))}"
        "</details></section>"
    )


def _facts(report: TrainReport) -> dict[str, str]:
    facts = {
        "model": f"{report.parameters:,} parameters, digest {report.digest[:19]}",
        "run": f"{counted(report.steps, 'step')}, {counted(report.tokens, 'token')}, "
        f"{report.tokens_per_s:,.0f} tokens/s",
        "in force": ", ".join(_in_force(report)),
        "CPU": f"{report.cpu_s:,.1f} s",
    }
    if report.mfu is not None:
        facts["MFU"] = f"{report.mfu:.1%} of the device's peak"
    if report.memory.engine_peak_rss_bytes:
        facts["memory"] = f"{report.memory.engine_peak_rss_bytes / 1e6:,.0f} MB at most"
    if report.resumed_from:
        facts["resumed"] = f"from step {report.resumed_from}"
    return facts


def _in_force(report: TrainReport) -> Iterator[str]:
    for name, value in report.in_force.items():
        if value not in (None, {}, ""):
            yield f"{name.replace('_', ' ')} {value}"


def _items(report: TrainReport) -> Iterator[str]:
    """What the data and the run said."""
    for notice in report.notices:
        yield html_item(notice)
    for spike in report.spikes:
        words = f"step {spike.get('step')}: {spike.get('reason')}; {spike.get('did')}"
        yield html_item(words, kind="bad")


def _plan(report: TrainReport) -> str:
    """What was planned for the first step's largest pass beside what the fullest rank took."""
    planned = _numbers(report.plan.get("largest_pass_bytes"))
    measured = _numbers(report.plan.get("allocated_bytes"))
    if not planned and not measured:
        return ""
    rows = []
    for part in PARTS:
        before = planned.get(part)
        after = measured.get(part)
        rows.append(html_row([part, _megabytes(before), _megabytes(after), _ratio(before, after)]))
    table = html_table(["per device", "planned MB", "measured MB", "planned / measured"], rows)
    reason = report.plan.get("reason")
    words = f'<p class="hint">{escape(str(reason))}</p>' if reason else ""
    return f"<h3>Memory</h3>{words}{table}"


def _numbers(raw: object) -> dict[str, float]:
    if not isinstance(raw, Mapping):
        return {}
    return {str(name): value for name, value in raw.items() if isinstance(value, int | float)}


def _megabytes(value: float | None) -> str:
    return "-" if value is None else f"{value / 1e6:,.1f}"


def _ratio(before: float | None, after: float | None) -> str:
    if not before or not after:
        return "-"
    return f"{before / after:.2f}"


def _validation(report: TrainReport) -> str:
    if not report.validation:
        return ""
    skills = sorted({skill for each in report.validation for skill in each.skills})
    rows = []
    for each in report.validation:
        scores = [f"{each.skills[skill]:.2f}" if skill in each.skills else "-" for skill in skills]
        rows.append(
            html_row([str(each.step), f"{each.loss:.4f}", f"{each.perplexity:,.3f}", *scores])
        )
    heads = ["after step", "loss", "perplexity", *(escape(skill) for skill in skills)]
    return f"<h3>Held out</h3>{html_table(heads, rows)}"


def _answers(report: TrainReport) -> str:
    rows = [
        html_row([f"<pre>{escape(text)}</pre>" for text in (each.question, each.answer)])
        for each in answers_in(report)
    ]
    if not rows:
        return ""
    return f"<h3>What it says</h3>{html_table(['asked', 'its answer'], rows)}"


def _data(report: TrainReport) -> str:
    """One row a file, as it was counted before the run."""
    files = [*_files(report.data.get("training")), *_files(report.data.get("validation"))]
    if not files:
        return ""
    names = [name for name in files[0] if name not in ("name", "exact")]
    rows = []
    for file in files:
        exact = "" if file.get("exact") else " (estimated)"
        cells = [escape(f"{file['name']}{exact}")]
        cells += [f"{file.get(name, 0):,}" for name in names]
        rows.append(html_row(cells))
    heads = ["file", *(name.replace("_", " ") for name in names)]
    return f"<h3>Data</h3>{html_table(heads, rows)}"


def _files(raw: object) -> list[dict[str, object]]:
    if not isinstance(raw, list):
        return []
    return [dict(each) for each in raw]


def _about(manifest: Manifest) -> dict[str, str]:
    versions = [f"{name} {version}" for name, version in manifest.versions.items()]
    return {
        "when": f"{manifest.started_at}, {manifest.duration_s:,.0f} s",
        "machine": hardware_line(manifest.hardware),
        "versions": ", ".join(versions),
        "command": " ".join(manifest.argv),
    }


def save_page(folder: Path, report: TrainReport) -> Path:
    """The page of a run beside its report."""
    target = folder / "report.html"
    run = OpenedRun(name=folder.name, path=folder, report=report)
    write_atomic(target, page([run]).encode())
    return target
