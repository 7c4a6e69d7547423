"""A run of `llmops prompt run` for people, and for `llmops report`."""

from __future__ import annotations

from rich.table import Table

from llmops_cli.core.counted import counted
from llmops_cli.core.significance import SURE
from llmops_cli.prompt.technique_run.report import (
    AnsweredQuestion,
    PairResult,
    PromptRunReport,
    Score,
    TechniqueResult,
)
from llmops_cli.prompt.technique_run.target import target_title
from llmops_cli.show.paired_tables import p_words
from llmops_cli.show.tables import MISSING, add_columns, cell, number
from llmops_cli.show.words import percent, percent_interval

SCORES = ("strict", "strict 95 %", "lenient", "lenient 95 %")
TAKEN = ("calls", "calls each", "tokens in", "tokens out")
DROPPABLE = ("call s each", "tokens in", "tokens out", "calls each", "lenient 95 %", "failed")
NO_SCORE = (MISSING, MISSING)


def run_table(report: PromptRunReport) -> Table:
    """One row a technique; what is known of pairs stands below."""
    results = report.techniques
    has_scores = any(result.strict is not None for result in results.values())
    has_cost = any(result.cost is not None for result in results.values())
    title = target_title(report.manifest.recipe)
    asked = counted(report.questions, "question")
    table = Table(title=cell(f"{title}: {asked}"), title_justify="left")
    names = ["technique"]
    if has_scores:
        names += SCORES
    names += TAKEN
    if has_cost:
        names.append("cost")
    add_columns(table, [*names, "call s each", "failed"], words=("technique",))
    for name, result in results.items():
        table.add_row(*_cells(name, result, has_scores=has_scores, has_cost=has_cost))
    table.caption = "\n".join(cell(note) for note in _notes(report))
    table.caption_justify = "left"
    return table


def _cells(
    name: str,
    result: TechniqueResult,
    *,
    has_scores: bool,
    has_cost: bool,
) -> list[str]:
    cells = [cell(name)]
    if has_scores:
        cells += [*_score(result.strict), *_score(result.lenient)]
    cells += [
        f"{result.calls:,}",
        number(result.calls / max(1, result.questions), 1),
        f"{result.input_tokens:,}",
        f"{result.output_tokens:,}",
    ]
    if has_cost:
        cells.append(number(result.cost, 4))
    failed = sum(result.errors.values())
    return [*cells, number(result.latency_s, 2), str(failed or MISSING)]


def _score(score: Score | None) -> tuple[str, str]:
    if score is None:
        return NO_SCORE
    return percent(score.share), percent_interval(score.ci95)


def _notes(report: PromptRunReport) -> list[str]:
    notes = [_pair_note(pair) for pair in report.pairs if pair.reading == "lenient"]
    for name, result in report.techniques.items():
        if result.preparation_calls:
            made = f"{result.examples_made} examples of its own"
            notes.append(f"{name}: {made}, by {counted(result.preparation_calls, 'call')}")
        if result.saved_tokens:
            notes.append(
                f"{name}: prompts were made smaller by about {result.saved_tokens:,} tokens"
            )
        notes += [f"{name}: failed {count} x {kind}" for kind, count in result.errors.items()]
    if report.stopped:
        notes.append(f"stopped early: {report.stopped}; {counted(report.calls, 'call')} sent")
    return notes


def _pair_note(pair: PairResult) -> str:
    low, high = pair.ci95
    words = "no difference shown" if pair.p_adjusted >= SURE else "a difference"
    return (
        f"{pair.second} against {pair.first}: {pair.difference:+.1%} "
        f"({low:+.1%} to {high:+.1%}), p {p_words(pair.p_adjusted)}, {words}"
    )


def answer_lines(answer: AnsweredQuestion) -> list[str]:
    """A single question's way for people: what happened, then the answer."""
    lines = [*answer.trace]
    if answer.text and answer.text not in lines:
        lines.append(answer.text)
    read = answer.strict or answer.lenient
    if answer.error:
        lines.append(f"no answer: {answer.error}")
    else:
        lines.append(f"= {read}" if read is not None else "= (no answer could be read)")
    return lines
