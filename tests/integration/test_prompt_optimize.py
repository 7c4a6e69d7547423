"""`llmops prompt optimize` as a user has it, against a scripted server."""

from __future__ import annotations

import html
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from llmops_cli.core.errors import UsageError
from llmops_cli.prompt.optimize.plan import optimize_plan
from llmops_cli.prompt.optimize.recipe import OptimizeRecipe
from llmops_cli.prompt.optimize.report import OptimizeReport
from llmops_cli.prompt.optimize.run import optimize
from llmops_cli.prompt.optimize.splits import Split, place_of, split_of
from llmops_cli.prompt.optimize.wordings import WORDINGS
from llmops_cli.runtime.runs import RunFolder
from llmops_cli.show.gates import ConditionOutcome
from llmops_cli.show.paired import PairedComparison
from llmops_cli.show.runs import compare_runs, judge_run, open_run, page_of
from tests.conftest import Cli
from tests.scripted_model import ScriptedModel, scripted

PLANTED = "count on your fingers"
LEARNT = "remember the answers"
CASES = 60
FOUR = ("--concurrency", "4")


def variables_of(number: int) -> dict[str, object]:
    return {"a": number, "sum": str(number + 1)}


def cases_text(count: int = CASES, *, anchor: int | None = None) -> str:
    rows = ["prompts: ['add {{a}} and 1']", "defaultTest:", "  assert:"]
    rows += ["    - {type: equals, value: '{{sum}}'}", "tests:"]
    for number in range(count):
        values = json.dumps(variables_of(number))
        metadata = ", metadata: {anchor: true}" if number == anchor else ""
        rows.append(f"  - {{vars: {values}{metadata}}}")
    return "\n".join(rows) + "\n"


def split(number: int) -> Split:
    return split_of(place_of(variables_of(number)), train=0.4, validation=0.2)


def number_in(body: dict[str, Any]) -> int:
    """What it is asked to add to."""
    question = str(body["messages"][-1]["content"])
    return int(question.split("add ")[1].split()[0])


class Adder:
    """Adds: always with the planted words, with the learnt ones where the search can see it, and
    else every second time. `forgets` is never known with the planted words.
    """

    def __init__(self) -> None:
        self.forgets: int | None = None

    def __call__(self, body: dict[str, Any]) -> str:
        said = " ".join(str(message["content"]) for message in body["messages"])
        number = number_in(body)
        is_right = number % 2 == 0
        if PLANTED in said:
            is_right = number != self.forgets
        elif LEARNT in said:
            is_right = is_right or split(number) is not Split.TEST
        return str(number + 1 if is_right else number + 2)


@pytest.fixture
def adder() -> Adder:
    return Adder()


@pytest.fixture
def server(adder: Adder) -> Iterator[ScriptedModel]:
    with scripted(adder) as found:
        yield found


class Said:
    """What a run said, of which nothing is shown."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def update(self, stage: str, done: float, total: float = 0, note: str = "") -> None:
        pass

    def say(self, text: str) -> None:
        self.lines.append(text)

    def warn(self, text: str) -> None:
        self.lines.append(text)


class Run(NamedTuple):
    report: OptimizeReport
    said: list[str]


@pytest.fixture
def optimized(server: ScriptedModel, tmp_path: Path) -> Callable[..., Run]:
    """Runs one in this process, as the command does."""

    def run(text: str = cases_text(), *, budget_calls: int = 400, **fields: Any) -> Run:
        path = tmp_path / "cases.yaml"
        path.write_text(text)
        values = {"url": server.url, "backend": "remote", "model": "adder", **fields}
        recipe = OptimizeRecipe(cases=str(path), budget_calls=budget_calls, **values)
        plan = optimize_plan(recipe)
        said = Said()
        folder = RunFolder("prompt-optimize", "cases", chosen=tmp_path / "run")
        report = optimize(recipe, {}, plan=plan, folder=folder, progress=said)
        return Run(report, said.lines)

    return run


def test_a_planted_better_prompt_is_found_and_its_export_says_the_same(
    optimized: Callable[..., Run], cli: Cli, server: ScriptedModel, tmp_path: Path
) -> None:
    report, said = optimized(instruction=[PLANTED])
    assert report.accepted
    assert report.best.test == 1
    assert report.base.test is not None
    assert report.base.test < 0.8
    assert report.paired is not None
    assert report.paired.only_base == 0
    assert report.calls == len(server.bodies) <= 400
    assert said[0].startswith("400 calls buy about")
    assert any(PLANTED in message["content"] for message in report.best.messages)
    assert replayed_rate(tmp_path / "run") == report.best.test
    again = cli(
        "prompt",
        "eval",
        "cases.yaml",
        "--prompt",
        "run/prompt.md",
        "--prompt",
        "run/messages.json",
        "--url",
        server.url,
        "--json",
    )
    cells = json.loads(again.stdout)["cells"]
    assert [cell["pass_rate"] for cell in cells] == [1, 1], again.stderr
    shown = cli("report", "show", "run")
    assert "accepted: better on the test split" in shown.stdout
    page = page_of([open_run(tmp_path / "run")])
    (best,) = [m["content"] for m in report.best.messages if PLANTED in m["content"]]
    assert html.escape(best) in page
    assert "&amp;lt;" not in page


def test_base_and_written_prompt_of_one_name_are_evaluated_side_by_side(
    optimized: Callable[..., Run], cli: Cli, server: ScriptedModel, tmp_path: Path
) -> None:
    base = tmp_path / "adder.md"
    base.write_text("---\nname: adder\n---\nuser:\nadd {{a}} and 1\n")
    report, _ = optimized(prompt=str(base), instruction=[PLANTED], budget_calls=300)
    assert report.accepted
    again = cli(
        *("prompt", "eval", "cases.yaml", "--prompt", "adder.md", "--prompt", "run/prompt.md"),
        *("--url", server.url, "--json"),
    )
    assert again.returncode == 0, again.stderr
    old, new = json.loads(again.stdout)["cells"]
    assert old["prompt"].startswith("adder@")
    assert new["prompt"].startswith("adder@")
    assert old["prompt"] != new["prompt"]
    assert (old["pass_rate"], new["pass_rate"]) == (0.5, 1)


def replayed_rate(folder: Path) -> float:
    """Of what the exported curl line gets, judged by hand."""
    sent = subprocess.run(
        ["sh", str(folder / "curl.sh")], capture_output=True, text=True, check=True
    )
    answers = [json.loads(line) for line in sent.stdout.splitlines()]
    requests = (folder / "requests.jsonl").read_text().splitlines()
    right = 0
    for line, answer in zip(requests, answers, strict=True):
        number = number_in(json.loads(line))
        right += answer["choices"][0]["message"]["content"] == str(number + 1)
    return right / len(requests)


def test_a_planted_overfit_prompt_is_refused_and_shown(
    optimized: Callable[..., Run], tmp_path: Path
) -> None:
    report, _ = optimized(instruction=[LEARNT])
    assert not report.accepted
    assert report.verdict == "not surely better on the test split"
    assert (report.best.train, report.best.validation) == (1, 1)
    assert report.best.test == report.base.test
    assert report.best.overfit is not None
    assert report.best.overfit > 0.2
    kept = json.loads((tmp_path / "run/messages.json").read_text())
    assert kept == [{"role": "user", "content": "add {{a}} and 1"}]
    assert replayed_rate(tmp_path / "run") == report.base.test


def test_an_anchor_that_passed_before_must_not_fail(
    optimized: Callable[..., Run], adder: Adder
) -> None:
    adder.forgets = next(n for n in range(0, CASES, 2) if split(n) is Split.TEST)
    report, _ = optimized(cases_text(anchor=adder.forgets), instruction=[PLANTED])
    assert report.verdict == "an anchor case fails that passed before"
    assert report.paired is not None
    assert report.paired.p < 0.05
    assert len(report.anchors.regressed) == 1


def test_the_least_budget_is_used_to_the_last_call(
    optimized: Callable[..., Run], server: ScriptedModel
) -> None:
    with pytest.raises(UsageError) as refused:
        optimized(budget_calls=20)
    least = int(refused.value.message.split("one takes ")[1].split()[0])
    assert not server.bodies
    report, _ = optimized(instruction=[PLANTED], budget_calls=least)
    assert report.accepted
    assert report.calls == len(server.bodies) == least


def test_a_cap_in_tokens_is_never_passed(
    optimized: Callable[..., Run], server: ScriptedModel
) -> None:
    report, _ = optimized(instruction=[PLANTED], token_budget=700, max_tokens=8)
    assert report.tokens <= 700
    assert report.stopped == "the token budget is spent"
    assert report.calls == len(server.bodies)


def started_run(url: str, folder: Path, *more: str) -> subprocess.Popen[bytes]:
    """The command as a user starts it, into the folder `run`."""
    (folder / "cases.yaml").write_text(cases_text())
    argv = [sys.executable, "-m", "llmops_cli", "prompt", "optimize", "cases.yaml", "--url", url]
    argv += ["--instruction", PLANTED, "-o", "run", *more]
    pipe = subprocess.PIPE
    environment = {**os.environ, "NO_COLOR": "1"}
    return subprocess.Popen(argv, cwd=folder, env=environment, stdout=pipe, stderr=pipe)


@pytest.mark.parametrize(
    ("tokens", "verdict"),
    [
        ("400", "stopped before the test was done"),
        ("800", "a cap was reached before any proposal was measured"),
    ],
)
def test_a_cap_that_ends_it_before_anything_is_proven_is_no_pass(
    server: ScriptedModel, tmp_path: Path, tokens: str, verdict: str
) -> None:
    caps = ["--budget-calls", "400", "--token-budget", tokens, "--max-tokens", "8", "--json"]
    run = started_run(server.url, tmp_path, *caps)
    out, err = run.communicate(timeout=120)
    assert run.returncode == 5, err
    assert b"nothing was proven: the token budget is spent" in err
    assert b"--resume run, with more: --token-budget" in err
    report = json.loads(out)
    assert report["verdict"] == verdict
    is_tested = report["base"]["test"] is not None
    assert is_tested == report["manifest"]["complete"] == (tokens == "800")
    assert report["base"]["train"] is not None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("answers", [5, 150])
def test_a_signal_during_search_or_test_ends_it_as_interrupted(
    server: ScriptedModel, tmp_path: Path, number: signal.Signals, answers: int
) -> None:
    server.delay_s = 0.02
    run = started_run(server.url, tmp_path, "--budget-calls", "220", *FOUR)
    deadline = time.monotonic() + 120
    while len(server.bodies) < answers:
        assert time.monotonic() < deadline
        assert run.poll() is None
        time.sleep(0.01)
    run.send_signal(number)
    _, err = run.communicate(timeout=60)
    assert run.returncode == 130, err
    assert b"--resume run goes on" in err
    report = json.loads((tmp_path / "run/report.json").read_text())
    assert report["stopped"] == "interrupted"
    assert report["base"]["test"] is None


def test_a_test_without_any_verdict_is_no_pass(adder: Adder, tmp_path: Path) -> None:
    def fails_in_the_test(body: dict[str, Any]) -> str:
        if split(number_in(body)) is Split.TEST:
            raise ConnectionAbortedError
        return adder(body)

    with scripted(fails_in_the_test) as server:
        run = started_run(server.url, tmp_path, "--budget-calls", "400", "--retries", "0")
        out, err = run.communicate(timeout=120)
    assert run.returncode == 4, err
    assert b"no answer to the test has a verdict" in err
    assert b"not accepted" in out


def test_two_runs_are_compared_and_gated_by_their_tests(
    optimized: Callable[..., Run], tmp_path: Path
) -> None:
    optimized(instruction=[PLANTED])
    (tmp_path / "run").rename(tmp_path / "good")
    optimized(budget_calls=200)
    good = open_run(tmp_path / "good")
    plain = open_run(tmp_path / "run")
    found = compare_runs(good, plain, metrics=[], min_effect=None)
    assert isinstance(found.result, PairedComparison)
    was, best = found.result.columns
    assert (was.run, was.difference, was.verdict) == ("as it was", 0, "can't tell")
    assert (best.run, best.rate_baseline, best.verdict) == ("best", 1, "worse")
    assert best.cases == was.cases == good.report.paired.cases
    assert ["not accepted" in each for each in found.warnings] == [True]
    conditions = ["worse > 0", "pass_rate < -5%"]
    judged = judge_run(plain, good, conditions, allow_invalid=False)
    assert [each.load for each in judged if each.fails] == ["all", "as it was"]
    passed = judge_run(good, plain, conditions, allow_invalid=False)
    assert not any(each.fails for each in passed)


def test_a_gate_judges_the_prompt_that_the_folder_holds(
    optimized: Callable[..., Run], tmp_path: Path
) -> None:
    optimized(instruction=[PLANTED])
    (tmp_path / "run").rename(tmp_path / "good")
    optimized(budget_calls=200)
    good = open_run(tmp_path / "good")
    plain = open_run(tmp_path / "run")
    assert (good.report.accepted, plain.report.accepted) == (True, False)
    absolute = ["pass_rate < 80%", "errors > 0", "calls > 5000", "tokens > 10000000"]
    changes = ["calls > +900%", "tokens > +900%"]
    passed = judge_run(good, plain, absolute + changes, allow_invalid=False)
    assert {each.outcome for each in passed} == {ConditionOutcome.PASSED}
    assert [each.load for each in passed] == ["best"] * 6
    judged = judge_run(plain, None, absolute, allow_invalid=False)
    assert {each.load for each in judged} == {"as it was"}
    assert [each.condition for each in judged if each.fails] == ["pass_rate < 80%"]


def test_a_run_without_a_test_is_not_compared(
    optimized: Callable[..., Run], tmp_path: Path
) -> None:
    optimized(token_budget=400, max_tokens=8)
    stopped = open_run(tmp_path / "run")
    with pytest.raises(UsageError, match="stopped before the test was done"):
        compare_runs(stopped, stopped, metrics=[], min_effect=None)
    with pytest.raises(UsageError, match="stopped before the test was done"):
        judge_run(stopped, None, ["pass_rate < 10%"], allow_invalid=False)


def killed_after(answers: int, process: subprocess.Popen[bytes], folder: Path) -> None:
    """Ends it by SIGKILL once so many answers are kept."""
    kept = folder / "run/outcomes.jsonl"
    deadline = time.monotonic() + 120
    while not (kept.exists() and kept.read_bytes().count(b"\n") >= answers):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()


def test_a_killed_run_goes_on_asks_nothing_twice_and_keeps_its_cap(
    cli: Cli, server: ScriptedModel, tmp_path: Path
) -> None:
    server.delay_s = 0.02
    killed_after(60, started_run(server.url, tmp_path, "--budget-calls", "300", *FOUR), tmp_path)
    server.delay_s = 0
    run = cli("prompt", "optimize", "--resume", "run", "--json")
    assert run.returncode == 0, run.stderr
    report = json.loads(run.stdout)
    assert report["accepted"] is True
    assert len(server.bodies) <= report["calls"] <= 300
    bodies = [json.dumps(body, sort_keys=True) for body in server.bodies]
    assert len(bodies) - len(set(bodies)) <= 4
    (tmp_path / "cases.yaml").write_text(cases_text().replace("and 1", "and one"))
    other = cli("prompt", "optimize", "--resume", "run")
    assert other.returncode == 2
    assert "cannot go on: its prompts are others now" in other.stderr


@pytest.mark.parametrize(
    ("fields", "text", "wrong"),
    [
        ({}, cases_text(8), "cases are too few"),
        ({"train_share": 0.9}, cases_text(), "leave no case for the test"),
        ({"instruction": ["{{ a }}"]}, cases_text(), "is no plain text"),
        ({"prompt": "nowhere.md"}, cases_text(), "no prompt at nowhere.md"),
        ({"money_budget": 1.0}, cases_text(), "--money-budget needs prices"),
        ({}, cases_text().replace("equals", "llm-rubric"), "cases.yaml:4: llm-rubric needs a"),
        ({}, cases_text().replace("prompts: [", "prompts: ['b',"), "2 prompts, and one can be"),
    ],
)
def test_wrong_input_is_told_before_anything_is_sent(
    optimized: Callable[..., Run],
    server: ScriptedModel,
    fields: dict[str, Any],
    text: str,
    wrong: str,
) -> None:
    with pytest.raises(UsageError) as refused:
        optimized(text, **fields)
    assert wrong in refused.value.message
    assert not server.bodies


class Stubborn(Adder):
    """The learnt words leave one training case, so that there is more to find: `helpful` words."""

    hard = next(n for n in range(1, CASES, 2) if split(n) is Split.TRAIN)
    helpful = PLANTED

    def __call__(self, body: dict[str, Any]) -> str:
        said = " ".join(str(message["content"]) for message in body["messages"])
        number = number_in(body)
        if self.helpful in said:
            return str(number + 1)
        if LEARNT in said and number == self.hard:
            return "0"
        return super().__call__(body)


def resumed(cli: Cli, *options: str) -> dict[str, Any]:
    run = cli("prompt", "optimize", "--resume", "run", *options, "--json")
    assert run.returncode == 0, run.stderr
    return dict(json.loads(run.stdout))


CALLS = ("--budget-calls", "200")


def first_part(cli: Cli, url: str, folder: Path, *caps: str) -> dict[str, Any]:
    """Of a search that found the learnt words, and was refused them."""
    (folder / "cases.yaml").write_text(cases_text())
    options = ["--url", url, "--instruction", LEARNT, "--most-examples", "0", "-o", "run"]
    run = cli("prompt", "optimize", "cases.yaml", *(caps or CALLS), *options, "--json")
    assert run.returncode == 0, run.stderr
    report = dict(json.loads(run.stdout))
    assert report["verdict"] == "not surely better on the test split"
    return report


def untried_in(report: dict[str, Any]) -> list[str]:
    """Names of the built-in wordings that a search did not come to."""
    tried = {change for each in report["tried"] for change in each["changes"]}
    return [name for name in WORDINGS if f"instruction '{name}' system" not in tried]


def test_a_search_goes_on_with_more_calls_and_asks_nothing_twice(cli: Cli, tmp_path: Path) -> None:
    with scripted(Stubborn()) as server:
        first = first_part(cli, server.url, tmp_path)
        asked = len(server.bodies)
        second = resumed(cli, "--budget-calls", "300")
        assert second["budget_calls"] == 300
        assert "llmops prompt optimize" in (tmp_path / "run" / "report.html").read_text()
        assert asked < len(server.bodies) == second["calls"] <= 300
        bodies = [json.dumps(body, sort_keys=True) for body in server.bodies]
        assert len(bodies) == len(set(bodies))
        assert second["tried"][: len(first["tried"])] == first["tried"]
        assert len(second["tried"]) > len(first["tried"])
        again = resumed(cli)
        assert len(server.bodies) == second["calls"] == again["calls"]
        less = cli("prompt", "optimize", "--resume", "run", "--budget-calls", "250")
    assert (again["verdict"], again["tried"]) == (second["verdict"], second["tried"])
    assert less.returncode == 2
    assert "250 calls are less than the 300" in less.stderr
    other = cli("prompt", "optimize", "--resume", "run", "--model", "other")
    assert other.returncode == 2
    assert "--budget-calls" in other.stderr


def test_a_second_look_at_the_test_has_to_be_surer(cli: Cli, tmp_path: Path) -> None:
    script = Stubborn()
    with scripted(script) as server:
        first = first_part(cli, server.url, tmp_path)
        script.helpful = WORDINGS[untried_in(first)[0]]
        second = resumed(cli, "--budget-calls", "900")
        assert (first["paired"]["most_p"], second["paired"]["most_p"]) == (0.05, 0.025)
        assert second["accepted"]
        assert resumed(cli)["paired"] == second["paired"]
        more = cli("prompt", "optimize", "--resume", "run", "--budget-calls", "1000")
    assert more.returncode == 2
    assert "which is accepted" in more.stderr


def test_another_prompt_within_the_same_calls_is_a_second_look_too(
    cli: Cli, tmp_path: Path
) -> None:
    """A cap in tokens ended the search; with more it finds another prompt."""
    script = Stubborn()
    with scripted(script) as server:
        caps = ("--budget-calls", "480", "--token-budget", "3000", "--max-tokens", "8")
        first = first_part(cli, server.url, tmp_path, *caps, "--concurrency", "1")
        assert first["stopped"] == "the token budget is spent"
        script.helpful = WORDINGS[untried_in(first)[0]]
        second = resumed(cli, "--token-budget", "90000")
        assert (first["paired"]["most_p"], second["paired"]["most_p"]) == (0.05, 0.025)
        assert second["accepted"]
        asked = len(server.bodies)
        again = resumed(cli, "--token-budget", "99000")
        assert len(server.bodies) == asked
    assert again == second
