"""A run of `prompt eval` as one HTML file, without scripts; answers stand in it escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import groupby

from llmops_cli.core.counted import counted
from llmops_cli.core.visible import visible
from llmops_cli.prompt.evals.answers import AnswerRow, reason_of, verdict_word
from llmops_cli.prompt.evals.interval_plot import interval_plot
from llmops_cli.prompt.evals.report import EvalCell, EvalReport
from llmops_cli.prompt.evals.show import pair_lines
from llmops_cli.show.page import html_badge, html_item, html_row, html_table, plain_page
from llmops_cli.show.words import percent, percent_interval

HEADS = [
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
]
METHOD = (
    "n: answers with a verdict; errors have none. The interval is Wilson's, repeats of a case "
    "counted as alike. Two cells are compared on the cases that both have: exact McNemar, or signs "
    "thrown at random where cases repeat; p by Holm over all pairs. Cost and tokens are the "
    "models', judges apart."
)
MOST_CASES = 2000
MOST_ANSWER_CHARS = 4000


def eval_page(report: EvalReport, rows: Sequence[AnswerRow]) -> str:
    """The matrix, its pairs, and every answer that unfolds."""
    title = "llmops prompt eval"
    began = report.manifest.started_at[:16].replace("T", " ")
    cells = counted(len(report.cells), "cell")
    size = f"{counted(report.cases, 'case')}, {cells}, each asked {report.repeats}x"
    counts = f"{size}; {began} UTC"
    table = html_table(HEADS, [html_row(_cells(each)) for each in report.cells])
    pairs = "".join(html_item(line) for line in pair_lines(report))
    left_out = "".join(html_item(each) for each in report.left_out)
    parts = [f"<h1>{title}</h1><h2>{escape(counts)}</h2>", interval_plot(report.cells), table]
    if report.stopped:
        parts.append(f'<p class="bad">stopped: {_shown(report.stopped)}</p>')
    if pairs:
        parts.append(f"<h2>In pairs</h2><ul>{pairs}</ul>")
    if left_out:
        parts.append(f"<h2>Left out</h2><ul>{left_out}</ul>")
    parts.append(f'<p class="hint">{METHOD}</p>')
    parts += ["<h2>Answers</h2>", *_cases(rows)]
    return plain_page(title=title, body="".join(parts))


def _cells(each: EvalCell) -> list[str]:
    cost = "-" if each.cost is None else f"{each.cost:.4f}"
    score = "-" if each.score is None else f"{each.score:.3f}"
    plain = [
        each.prompt,
        each.model,
        str(each.n),
        percent(each.pass_rate),
        percent_interval(each.ci95),
        score,
        str(each.errors or "-"),
        f"{each.tokens:,}",
        cost,
        _ms(each.latency_p50_ms),
        _ms(each.latency_p95_ms),
    ]
    return [_shown(text) for text in plain]


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def _cases(rows: Sequence[AnswerRow]) -> list[str]:
    parts = []
    groups = groupby(rows, key=lambda row: row.case)
    for number, (case, answers) in enumerate(groups):
        if number == MOST_CASES:
            parts.append("<p>More cases are in report.csv.</p>")
            break
        parts.append(_case(case, list(answers)))
    return parts


def _case(case: int, answers: Sequence[AnswerRow]) -> str:
    passed = sum(row.outcome.passed for row in answers)
    title = _shown(answers[0].title)
    summary = f"{case + 1}. {title}: {passed} of {len(answers)} pass"
    inner = "".join(_answer(row) for row in answers)
    return f"<details><summary>{summary}</summary>{inner}</details>"


def _answer(row: AnswerRow) -> str:
    word = verdict_word(row.outcome)
    badge = word if word == "pass" else html_badge(word)
    repeat = f", repeat {row.repeat + 1}" if row.repeat else ""
    head = f"<b>{_shown(row.prompt)}</b>, {_shown(row.model)}{repeat}: {badge}"
    reason = reason_of(row.outcome)
    why = f"<p>{_shown(reason)}</p>" if reason else ""
    answer = _shown(row.outcome.answer[:MOST_ANSWER_CHARS])
    return f"<p>{head}</p>{why}<pre>{answer}</pre>"


def _shown(text: str) -> str:
    return escape(visible(text))
