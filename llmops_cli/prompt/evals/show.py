"""A run of `prompt eval` as tables."""

from __future__ import annotations

from rich.table import Table

from llmops_cli.core.counted import counted
from llmops_cli.prompt.evals.report import CellName, EvalCell, EvalPair, EvalReport
from llmops_cli.show.tables import MISSING, add_columns, cell, milliseconds, number
from llmops_cli.show.words import percent, percent_interval

WORDS = ("prompt", "model")
COLUMNS = (
    "prompt",
    "model",
    "n",
    "pass",
    "95 %",
    "score",
    "errors",
    "tokens",
    "cost",
    "p50 ms",
    "p95 ms",
)
DROPPABLE = ("p95 ms", "score", "tokens", "p50 ms", "cost", "errors")
MOST_PAIRS = 15


def eval_table(report: EvalReport) -> Table:
    """A row a cell."""
    table = Table(title=cell(_title(report)), title_justify="left")
    add_columns(table, COLUMNS, words=WORDS)
    for each in report.cells:
        table.add_row(*_cells(each))
    notes = [*_notes(report), *pair_lines(report)]
    table.caption = "\n".join(cell(note) for note in notes)
    table.caption_justify = "left"
    return table


def _title(report: EvalReport) -> str:
    repeats = f" x {report.repeats} repeats" if report.repeats > 1 else ""
    return f"{counted(report.cases, 'case')}{repeats}, {report.manifest.duration_s:.1f} s"


def _cells(each: EvalCell) -> list[str]:
    return [
        cell(each.prompt),
        cell(each.model),
        str(each.n),
        percent(each.pass_rate),
        percent_interval(each.ci95),
        number(each.score),
        str(each.errors or MISSING),
        f"{each.tokens:,}",
        MISSING if each.cost is None else f"{each.cost:,.4f}",
        milliseconds(each.latency_p50_ms),
        milliseconds(each.latency_p95_ms),
    ]


def _notes(report: EvalReport) -> list[str]:
    notes = []
    for each in report.cells:
        notes += [
            f"{each.prompt}, {each.model}: {count} without a verdict: {kind}"
            for kind, count in each.error_kinds.items()
        ]
    if report.left_out:
        notes.append(f"left out, as not supported: {len(report.left_out)} parts of the file")
    if report.judge_tokens:
        notes.append(f"judges took {report.judge_tokens:,} tokens")
    if report.stopped:
        notes.append(f"stopped early: {report.stopped}")
    return notes


def pair_lines(report: EvalReport) -> list[str]:
    """Each pair as a sentence."""
    lines = [_pair_line(pair) for pair in report.pairs[:MOST_PAIRS]]
    more = len(report.pairs) - len(lines)
    if more > 0:
        lines.append(f"and {more} more pairs, in report.json")
    return lines


def _pair_line(pair: EvalPair) -> str:
    low, high = pair.ci95
    names = {"a": _name(pair.a), "b": _name(pair.b)}
    words = "not sure which is better"
    if pair.better is not None:
        words = f"{names[pair.better]} is better"
    return (
        f"{names['b']} against {names['a']}: {pair.difference:+.1%} "
        f"({low:+.0%} to {high:+.0%}), p {_p(pair.p_adjusted)}, "
        f"{pair.only_b} to {pair.only_a} of {pair.cases} cases: {words}"
    )


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _name(name: CellName) -> str:
    return f"[{name.prompt} / {name.model}]"
