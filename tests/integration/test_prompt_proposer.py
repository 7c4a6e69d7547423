"""`llmops prompt optimize --proposer`: a scripted model answers, another writes instructions."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from llmops_cli.core.errors import EngineFailed, EnvironmentMissing, UsageError
from llmops_cli.prompt.optimize.plan import optimize_plan
from llmops_cli.prompt.optimize.recipe import OptimizeRecipe
from llmops_cli.prompt.optimize.report import OptimizeReport
from llmops_cli.prompt.optimize.run import optimize
from llmops_cli.prompt.optimize.splits import Split
from llmops_cli.runtime.runs import RunFolder
from tests.conftest import Cli
from tests.integration.test_prompt_optimize import (
    CASES,
    PLANTED,
    Adder,
    Said,
    cases_text,
    number_in,
    split,
)
from tests.scripted_model import ScriptedModel, scripted

pytest.importorskip("gepa", reason="gepa writes the instructions")
USELESS = "Answer as a poet would."
RUNNER_UP = "use pebbles"
NOT_HELPED = next(n for n in range(1, CASES, 2) if split(n) is Split.TRAIN)
Writes = Callable[[str], str]


class Teacher:
    """Says one of its proposals after another; `shown`: what it was asked."""

    def __init__(self, *proposals: str) -> None:
        self.proposals = list(proposals)
        self.shown: list[str] = []

    def __call__(self, body: dict[str, Any]) -> str:
        self.shown.append(str(body["messages"][-1]["content"]))
        place = min(len(self.shown), len(self.proposals)) - 1
        return f"Here it is:\n```\n{self.proposals[place]}\n```"


class PlannedAdder(Adder):
    """`also`: words that help everywhere but on one training case."""

    also = ""

    def __call__(self, body: dict[str, Any]) -> str:
        said = " ".join(str(message["content"]) for message in body["messages"])
        number = number_in(body)
        if self.also and self.also in said:
            return str(number + (2 if number == NOT_HELPED else 1))
        return super().__call__(body)


@pytest.fixture
def adder() -> PlannedAdder:
    return PlannedAdder()


@pytest.fixture
def server(adder: PlannedAdder) -> Iterator[ScriptedModel]:
    with scripted(adder) as found:
        yield found


@pytest.fixture
def written(server: ScriptedModel, tmp_path: Path) -> Callable[..., OptimizeReport]:
    """Runs one with this teacher; again in the same folder goes on there."""

    def run(
        teacher: ScriptedModel,
        *,
        budget_calls: int = 300,
        text: str = cases_text(),
        **fields: Any,
    ) -> OptimizeReport:
        path = tmp_path / "cases.yaml"
        path.write_text(text)
        values = {"url": server.url, "backend": "remote", "model": "adder", **fields}
        proposer = {"proposer": "teacher", "proposer_url": teacher.url}
        recipe = OptimizeRecipe(cases=str(path), budget_calls=budget_calls, **proposer, **values)
        plan = optimize_plan(recipe)
        folder = RunFolder("prompt-optimize", "cases", chosen=tmp_path / "run")
        return optimize(recipe, {}, plan=plan, folder=folder, progress=Said())

    return run


def test_what_a_proposer_writes_is_accepted_by_the_same_test(
    written: Callable[..., OptimizeReport], server: ScriptedModel, tmp_path: Path
) -> None:
    with scripted(Teacher(USELESS, PLANTED)) as teacher:
        report = written(teacher)
        shown = [str(body["messages"][-1]["content"]) for body in teacher.bodies]
    assert report.accepted
    assert report.best.test == 1
    assert report.best.messages[0] == {"role": "system", "content": PLANTED}
    assert report.calls == len(server.bodies) + len(teacher.bodies) <= 300
    assert "Wrong: " in shown[0]
    assert "add " in shown[0]
    kept = json.loads((tmp_path / "run/messages.json").read_text())
    assert kept == report.best.messages
    assert [each.is_kept for each in report.tried].count(True) == 1


def test_useless_proposals_leave_the_prompt_as_it_was_within_the_budget(
    written: Callable[..., OptimizeReport], server: ScriptedModel
) -> None:
    with scripted(Teacher(USELESS)) as teacher:
        report = written(teacher, budget_calls=200)
        assert report.calls == len(server.bodies) + len(teacher.bodies) <= 200
    assert not report.accepted
    assert report.verdict == "no proposal was better on the validation split"
    assert report.best.changes == []


@pytest.mark.parametrize(
    "text", ["{{a}} {% for x in y %}", "", "x" * 30_000], ids=["template", "empty", "long"]
)
def test_an_instruction_that_is_none_is_never_sent(
    written: Callable[..., OptimizeReport], server: ScriptedModel, text: str
) -> None:
    with scripted(Teacher(text)) as teacher:
        report = written(teacher, budget_calls=200)
        assert teacher.bodies
    assert report.best.changes == []
    assert all(body["messages"][0]["role"] == "user" for body in server.bodies)


def test_a_run_again_asks_the_proposer_nothing_twice(
    written: Callable[..., OptimizeReport], server: ScriptedModel
) -> None:
    with scripted(Teacher(USELESS, PLANTED)) as teacher:
        first = written(teacher)
        asked = (len(server.bodies), len(teacher.bodies))
        second = written(teacher)
        assert (len(server.bodies), len(teacher.bodies)) == asked
    assert second.best == first.best
    assert second.tried == first.tried
    assert second.calls == first.calls


@pytest.mark.parametrize(
    ("fields", "key"),
    [({}, None), ({"proposer_key_env": "TEACHERS"}, "Bearer teacher-key")],
    ids=["the proposer has none", "each has its own"],
)
def test_keys_go_to_their_own_servers(
    fields: dict[str, str],
    key: str | None,
    written: Callable[..., OptimizeReport],
    server: ScriptedModel,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MODELS", "model-key")
    monkeypatch.setenv("TEACHERS", "teacher-key")
    with scripted(Teacher(PLANTED)) as teacher:
        written(teacher, api_key_env="MODELS", **fields)
        assert set(server.keys) == {"Bearer model-key"}
        assert set(teacher.keys) == {key}


def test_a_proposer_that_fails_ends_the_run_with_what_was_done(
    written: Callable[..., OptimizeReport], server: ScriptedModel, tmp_path: Path
) -> None:
    def broken(body: dict[str, Any]) -> str:
        raise RuntimeError("no answer")

    with scripted(broken) as teacher, pytest.raises(EngineFailed) as failed:
        written(teacher, retries=0)
    assert "the proposer gave no answer" in failed.value.message
    before = len(server.bodies)
    with scripted(Teacher(PLANTED)) as teacher:
        report = written(teacher)
    assert report.accepted
    assert len(server.bodies) > before
    base = report.splits["train"] + report.splits["validation"]
    assert (
        len([1 for b in server.bodies if b["messages"][0]["role"] == "user"])
        == base + report.splits["test"]
    )


def test_a_cap_keeps_what_was_found_before_it(
    written: Callable[..., OptimizeReport], adder: PlannedAdder
) -> None:
    """The proposer's long answers are the first to pass a cap in tokens."""
    adder.also = RUNNER_UP
    with scripted(Teacher(RUNNER_UP, USELESS)) as teacher:
        report = written(teacher, token_budget=3600, max_tokens=8, proposer_tokens=700)
    assert report.tokens <= 3600
    assert report.stopped == "the token budget is spent"
    assert report.search_end == "a cap was reached before"
    assert report.best.messages[0]["content"] == RUNNER_UP
    assert report.accepted


def test_a_question_that_the_proposer_refuses_is_a_turn_without_a_proposal(
    written: Callable[..., OptimizeReport],
) -> None:
    teacher = Teacher(PLANTED)

    def at_times(body: dict[str, Any]) -> str:
        if len(teacher.shown) < 2:
            teacher.shown.append("refused")
            raise RuntimeError("no answer")
        return teacher(body)

    with scripted(at_times) as server:
        report = written(server, retries=0)
    assert report.accepted


def test_the_runner_up_stands_in_where_the_best_fails_an_anchor(
    written: Callable[..., OptimizeReport],
    adder: PlannedAdder,
) -> None:
    train = [n for n in range(0, CASES, 2) if split(n) is Split.TRAIN]
    adder.forgets = train[0]
    adder.also = RUNNER_UP
    with scripted(Teacher(RUNNER_UP, PLANTED)) as teacher:
        report = written(teacher, text=cases_text(anchor=adder.forgets), budget_calls=400)
    assert report.best.messages[0]["content"] == RUNNER_UP
    assert report.accepted


def test_a_system_message_with_variables_is_refused_before_anything_is_spent(
    cli: Cli, server: ScriptedModel, tmp_path: Path
) -> None:
    (tmp_path / "cases.yaml").write_text(cases_text())
    messages = [
        {"role": "system", "content": "For {{a}}."},
        {"role": "user", "content": "add {{a}} and 1"},
    ]
    (tmp_path / "p.json").write_text(json.dumps(messages))
    run = cli(
        *("prompt", "optimize", "cases.yaml", "--prompt", "p.json", "--budget-calls", "300"),
        *("--url", server.url, "--proposer", "teacher"),
    )
    assert run.returncode == 2
    assert "has variables" in run.stderr
    assert not server.bodies


def test_an_interrupt_ends_it_at_once_and_a_resume_goes_on(
    server: ScriptedModel, tmp_path: Path, cli: Cli
) -> None:
    (tmp_path / "cases.yaml").write_text(cases_text())
    slow = threading.Event()

    def waits(body: dict[str, Any]) -> str:
        slow.wait(30)
        return f"```\n{PLANTED}\n```"

    with scripted(waits) as teacher:
        argv = [sys.executable, "-m", "llmops_cli", "prompt", "optimize", "cases.yaml"]
        argv += ["--url", server.url, "--budget-calls", "300", "-o", "run"]
        argv += ["--proposer", "teacher", "--proposer-url", teacher.url]
        process = subprocess.Popen(argv, cwd=tmp_path, env={**os.environ, "NO_COLOR": "1"})
        while not teacher.bodies:
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 130
        slow.set()
        asked = len(server.bodies)
        run = cli("prompt", "optimize", "--resume", "run", "--json")
    assert run.returncode == 0, run.stderr
    report = json.loads(run.stdout)
    assert report["accepted"]
    assert asked == report["splits"]["train"] + report["splits"]["validation"]
    assert report["calls"] <= 300


def test_what_cannot_be_is_refused_before_anything_is_sent(
    cli: Cli, server: ScriptedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cases.yaml").write_text(cases_text())
    begin = ("prompt", "optimize", "cases.yaml", "--budget-calls", "300", "--url", server.url)
    alone = cli(*begin, "--proposer-url", server.url)
    assert alone.returncode == 2
    assert "--proposer-url says nothing without --proposer" in alone.stderr
    prices = cli(
        *begin, "--proposer", "t", "--money-budget", "1", "--price-in", "1", "--price-out", "1"
    )
    assert prices.returncode == 2
    assert "proposer's prices" in prices.stderr
    assert not server.bodies
    monkeypatch.setitem(sys.modules, "gepa", None)
    from llmops_cli.prompt.optimize.reflection import require_gepa

    with pytest.raises(EnvironmentMissing) as missing:
        require_gepa()
    assert "llmops-cli[optimize]" in missing.value.hint
    with pytest.raises(UsageError):
        OptimizeRecipe.settle({"cases": "x", "budget_calls": 1, "proposer": "t"}, {})


def test_a_free_model_beside_a_paid_proposer_has_a_cap_in_money(
    written: Callable[..., OptimizeReport],
) -> None:
    prices = {"proposer_price_in": 1000.0, "proposer_price_out": 1000.0}
    with scripted(Teacher(USELESS, RUNNER_UP)) as teacher:
        report = written(teacher, money_budget=12.0, proposer_tokens=64, **prices)
    assert 0 < report.cost <= 12
    assert report.calls > len(teacher.bodies) > 0
    with scripted(Teacher(USELESS)) as teacher, pytest.raises(UsageError, match="needs prices"):
        written(teacher, money_budget=1.0)


def test_a_search_by_a_proposer_goes_on_with_more_calls(
    written: Callable[..., OptimizeReport], server: ScriptedModel
) -> None:
    useless = [f"{USELESS} {number}" for number in range(12)]
    with scripted(Teacher(*useless, PLANTED)) as teacher:
        least = written(teacher, budget_calls=150)
        assert not least.accepted
        asked = len(server.bodies) + len(teacher.bodies)
        more = written(teacher, budget_calls=600)
        assert len(server.bodies) + len(teacher.bodies) == more.calls
    assert more.accepted
    assert more.calls > asked == least.calls
