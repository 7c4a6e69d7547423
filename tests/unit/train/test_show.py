"""Training runs are listed, compared, judged and drawn; those of older versions too."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from llmops_cli.core.errors import UsageError
from llmops_cli.core.report import decode_report
from llmops_cli.show.gates import ConditionOutcome
from llmops_cli.show.runs import (
    OpenedRun,
    compare_runs,
    judge_run,
    open_run,
    page_of,
    run_list,
    run_list_table,
)
from llmops_cli.train.compare import TrainComparison
from llmops_cli.train.report import TrainReport, Validation
from llmops_cli.train.show import COLUMNS, train_csv, train_markdown, train_table

GOLDEN = Path(__file__).parents[2] / "golden" / "reports" / "llmops.train-1.json"


@pytest.fixture
def old() -> OpenedRun:
    return OpenedRun(name="old", path=GOLDEN.parent, report=decode_report(GOLDEN.read_bytes()))


@pytest.fixture
def new(old: OpenedRun) -> OpenedRun:
    """Half as fast, with a lower loss."""
    report: TrainReport = old.report
    curve = [(step, loss - 0.01) for step, loss in report.loss_curve]
    changed = msgspec.structs.replace(
        report,
        strategy="ddp",
        world_size=2,
        loss=report.loss * 0.5,
        loss_curve=curve,
        tokens_per_s=report.tokens_per_s / 2,
        validation=[Validation(step=800, loss=0.3, perplexity=1.35, skills={"fact": 1.0})],
        notices=["a <b> & c"],
    )
    return OpenedRun(name="new", path=GOLDEN.parent, report=changed)


def test_a_run_of_before_has_the_defaults_of_what_it_did_not_tell(old: OpenedRun) -> None:
    assert old.report.strategy == "single"
    assert old.report.world_size == 1
    (row,) = run_list([old])
    assert row["backend"] == "single x 1"
    assert row["tokens_per_s"] == old.report.tokens_per_s


def test_a_list_has_the_figures_of_each_command(old: OpenedRun, new: OpenedRun) -> None:
    console = Console(width=200)
    with console.capture() as capture:
        console.print(run_list_table([old, new]))
    text = capture.get()
    assert "loss 0.2085 after 800 steps" in text
    assert "held out 0.3" in text
    assert "TTFT" not in text


def test_a_models_folder_shows_the_run_that_made_it(tmp_path: Path, old: OpenedRun) -> None:
    report = msgspec.structs.replace(old.report, path=".")
    (tmp_path / "train-report.json").write_bytes(msgspec.json.encode(report))
    opened = open_run(tmp_path)
    assert opened.report.path == str(tmp_path)
    with pytest.raises(UsageError, match="no report at") as caught:
        open_run(tmp_path / "other")
    assert caught.value.hint


def test_figures_are_better_or_worse_by_their_own_direction(old: OpenedRun, new: OpenedRun) -> None:
    compared = compare_runs(old, new, metrics=["loss", "tokens_per_s"], min_effect=None)
    found = compared.result
    assert isinstance(found, TrainComparison)
    verdicts = {each.figure: each.verdict for each in found.figures}
    assert verdicts == {"loss": "better", "tokens_per_s": "worse"}
    assert found.largest_loss_difference == pytest.approx(0.01)
    with pytest.raises(UsageError, match="unknown metric 'los'"):
        compare_runs(old, new, metrics=["los"], min_effect=None)


@pytest.mark.parametrize(
    ("condition", "outcome"),
    [
        ("loss > 0.3", ConditionOutcome.PASSED),
        ("loss > 0.01", ConditionOutcome.FAILED),
        ("tokens_per_s < -10%", ConditionOutcome.FAILED),
        ("tokens_per_s < -60%", ConditionOutcome.PASSED),
        ("mfu < 0.3", ConditionOutcome.UNKNOWN),
    ],
)
def test_a_gate_judges(
    condition: str, outcome: ConditionOutcome, old: OpenedRun, new: OpenedRun
) -> None:
    (judged,) = judge_run(new, old, [condition], allow_invalid=False)
    assert judged.outcome is outcome


@pytest.mark.parametrize(
    "text", ["loss > 5%", "loss > +5", "loss.p95 > 1", "tokens_per_s < 0", "tokens_per_s < -100%"]
)
def test_a_condition_that_can_tell_nothing_is_refused(
    text: str, old: OpenedRun, new: OpenedRun
) -> None:
    with pytest.raises(UsageError):
        judge_run(new, old, [text], allow_invalid=False)


def test_a_change_needs_a_baseline(new: OpenedRun) -> None:
    with pytest.raises(UsageError, match="is a change against a baseline"):
        judge_run(new, None, ["loss > +1%"], allow_invalid=False)


def test_the_page_has_the_curves_and_escapes_what_it_is_told(
    old: OpenedRun, new: OpenedRun
) -> None:
    page = page_of([new])
    assert "a &lt;b&gt; &amp; c" in page
    assert "Held out" in page
    assert "new loss" in page_of([old, new])


def test_the_table_has_loss_and_perplexity_of_what_is_held_out(new: OpenedRun) -> None:
    table = train_table(new.report, width=200)
    cells = {column.header: list(column.cells) for column in table.columns}
    assert (cells["validation"], cells["perplexity"]) == (["0.3000"], ["1.35"])


def test_tables_for_other_tools(new: OpenedRun) -> None:
    lines = train_csv(new.report).splitlines()
    assert lines[0] == "step,loss,grad_norm,learning_rate,tokens_per_s"
    assert len(lines) == 1 + len(new.report.loss_curve)
    assert "| ddp | 2 |" in train_markdown(new.report)


def test_a_narrow_terminal_has_a_row_a_figure_and_none_is_cut(old: OpenedRun) -> None:
    console = Console(width=50)
    with console.capture() as capture:
        console.print(train_table(old.report, width=50))
    text = capture.get()
    assert "…" not in text
    assert f"{old.report.parameters:,}" in text
    assert len(train_table(old.report, width=200).columns) == len(COLUMNS)


def test_what_the_model_says_is_shown_as_it_is(old: OpenedRun) -> None:
    answers = [{"question": "user\nWhat is [b]2[/b]?", "answer": "<b>Two</b>"}]
    answers.append({"question": "long " * 100 + "end?", "answer": ""})
    report = msgspec.structs.replace(old.report, export={"answers": answers})
    console = Console(width=200)
    with console.capture() as captured:
        console.print(train_table(report, width=200))
    text = captured.get()
    assert "asked: user What is [b]2[/b]?" in text
    assert "it: <b>Two</b>" in text
    assert "end?" in text
    assert "it: (nothing)" in text
    page = page_of([msgspec.structs.replace(old, report=report)])
    assert "&lt;b&gt;Two&lt;/b&gt;" in page
    assert "What it says" not in page_of([old])
