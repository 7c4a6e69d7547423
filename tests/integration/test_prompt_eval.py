"""`llmops prompt eval` as a user has it, against a scripted server."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.chat_server import ChatServer, Reply, says
from tests.conftest import Cli
from tests.scripted_model import scripted

CASES = """
prompts:
  - {label: plain, raw: "add {{a}} and {{b}}"}
  - {label: careful, raw: "add {{a}} and {{b}}, with care"}
defaultTest:
  assert: [{type: equals, value: "{{sum}}", metric: right}]
tests:
"""


def cases_of(count: int) -> str:
    rows = [f'  - vars: {{a: {a}, b: 1, sum: "{a + 1}"}}' for a in range(count)]
    return CASES + "\n".join(rows) + "\n"


class Adder:
    """Adds, but without care every fourth sum is wrong; its judge passes everything."""

    def __init__(self) -> None:
        self.server: ChatServer | None = None
        self.delay_s = 0.0
        self.status = 200

    def __call__(self, number: int) -> Reply:
        time.sleep(self.delay_s)
        if self.status != 200:
            return self.status, {"error": {"message": "no"}}
        assert self.server is not None
        asked = json.loads(self.server.bodies[number])
        text = asked["messages"][-1]["content"]
        if "<rubric>" in text:
            return says('{"pass": true, "score": 1, "reason": "kind"}')
        a = int(text.split()[1])
        wrong = a % 4 == 0 and "care" not in text
        return says(str(a + (2 if wrong else 1)), prompt_tokens=10, completion_tokens=2)


@pytest.fixture
def adder() -> Adder:
    return Adder()


@pytest.fixture
def server(adder: Adder) -> Iterator[ChatServer]:
    found = ChatServer(adder, model="adder")
    adder.server = found
    yield found
    found.close()


@pytest.fixture
def evaluate(cli: Cli, server: ChatServer, tmp_path: Path) -> Callable[..., object]:
    def run(*options: str, text: str = cases_of(24)) -> object:
        (tmp_path / "cases.yaml").write_text(text)
        return cli(
            "prompt", "eval", "cases.yaml", "--url", server.url, "--concurrency", "1", *options
        )

    return run


def test_cells_and_pairs_are_what_the_server_was_scripted_to(evaluate, tmp_path: Path) -> None:
    run = evaluate(
        "--model",
        "adder",
        "--price-in",
        "1",
        "--price-out",
        "2",
        "--json",
        "-o",
        "run",
        "--junit",
        "j.xml",
        "--fail-if",
        "pass_rate < 80%",
        "--fail-if",
        "errors > 0",
    )
    assert run.returncode == 5
    assert "pass_rate < 80%: plain · adder has 0.75" in run.stderr
    report = json.loads(run.stdout)
    plain, careful = report["cells"]
    assert (plain["prompt"], plain["model"], plain["n"]) == ("plain", "adder", 24)
    assert plain["pass_rate"] == 0.75
    assert plain["metrics"] == {"right": 0.75}
    assert plain["ci95"][0] < 0.75 < plain["ci95"][1]
    assert plain["tokens"] == 24 * 12
    assert plain["cost"] == pytest.approx(24 * 14e-6)
    assert careful["pass_rate"] == 1
    (pair,) = report["pairs"]
    assert (pair["only_a"], pair["only_b"], pair["cases"]) == (0, 6, 24)
    assert pair["difference"] == 0.25
    assert pair["p"] == pytest.approx(2 / 2**6)
    assert pair["better"] == "b"
    suite = ElementTree.parse(tmp_path / "j.xml").getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("48", "6")
    rows = (tmp_path / "run/report.csv").read_text().splitlines()
    assert len(rows) == 49
    page = (tmp_path / "run/report.html").read_text()
    assert "<script" not in page
    assert "careful" in page


def test_repeats_stay_different_requests_after_a_warm_rerun(
    evaluate, server: ChatServer, tmp_path: Path
) -> None:
    options = ("--prompt", "add {{a}} and 1", "--repeat", "3", "--cache", "kept.db", "--json")
    first = evaluate(*options, "-o", "one", text=cases_of(3))
    assert first.returncode == 0, first.stderr
    seeds = {json.loads(body)["seed"] for body in server.bodies}
    assert (len(server.bodies), len(seeds)) == (9, 9)
    again = evaluate(*options, "-o", "two", text=cases_of(3))
    assert again.returncode == 0, again.stderr
    assert len(server.bodies) == 9
    cell = json.loads(again.stdout)["cells"][0]
    assert (cell["n"], cell["cases"], cell["cached"]) == (9, 3, 9)


def test_answers_of_an_engine_that_we_start_are_kept_over_its_starts(
    cli: Cli, tmp_path: Path
) -> None:
    """It has another address with each of them, which is not what answered."""
    (tmp_path / "cases.yaml").write_text(cases_of(3))
    run = ("prompt", "eval", "cases.yaml", "--backend", "sim", "--cache", "kept.db", "--json")

    def cached(*options: str) -> list[int]:
        done = cli(*run, *options)
        assert done.returncode == 0, done.stderr
        return [cell["cached"] for cell in json.loads(done.stdout)["cells"]]

    assert cached() == [0, 0]
    assert cached() == [3, 3]
    assert cached("--set", "ttft_ms=1") == [0, 0]


def test_a_killed_run_goes_on_and_asks_nothing_twice(
    adder: Adder, server: ChatServer, cli: Cli, tmp_path: Path
) -> None:
    (tmp_path / "cases.yaml").write_text(cases_of(12))
    adder.delay_s = 0.02
    argv = [sys.executable, "-m", "llmops_cli", "prompt", "eval", "cases.yaml"]
    argv += ["--url", server.url, "--concurrency", "1", "-o", "run"]
    process = subprocess.Popen(argv, cwd=tmp_path, env={**os.environ, "NO_COLOR": "1"})
    kept = tmp_path / "run/outcomes.jsonl"
    deadline = time.monotonic() + 60
    while not (kept.exists() and len(kept.read_bytes().splitlines()) >= 5):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = len(kept.read_bytes().splitlines())
    adder.delay_s = 0
    asked = len(server.bodies)
    run = cli("prompt", "eval", "--resume", "run", "--json")
    assert run.returncode == 0, run.stderr
    assert [cell["n"] for cell in json.loads(run.stdout)["cells"]] == [12, 12]
    assert len(server.bodies) - asked == 24 - before
    text = (tmp_path / "cases.yaml").read_text()
    (tmp_path / "cases.yaml").write_text("# a line more\n" + text)
    assert cli("prompt", "eval", "--resume", "run").returncode == 0
    (tmp_path / "cases.yaml").write_text(text.replace("a: 3", "a: 4"))
    other = cli("prompt", "eval", "--resume", "run")
    assert other.returncode == 2
    assert "cannot go on: its cases are others now" in other.stderr


def test_a_server_that_is_broken_passes_nothing(evaluate, adder: Adder) -> None:
    adder.status = 400
    run = evaluate("--prompt", "add {{a}} and 1", "-o", "run", text=cases_of(2))
    assert run.returncode == 4
    assert "no answer has a verdict: http 400" in run.stderr
    gated = evaluate("--prompt", "{{a}}", "-o", "two", "--fail-if", "score < 0.5", text=cases_of(1))
    assert gated.returncode == 5


def test_model_graded_assertions_ask_the_judge(evaluate, server: ChatServer) -> None:
    text = """
tests:
  - vars: {a: 1}
    assert: [{type: llm-rubric, value: be kind}, {type: not-llm-rubric, value: be rude, weight: 0}]
"""
    without = evaluate("--prompt", "add {{a}} and 1", text=text)
    assert without.returncode == 2
    assert "cases.yaml:4: llm-rubric needs a judge" in without.stderr
    assert not server.bodies
    run = evaluate(
        "--prompt",
        "add {{a}} and 1",
        "--judge-url",
        server.url,
        "--judge-model",
        "j",
        "--json",
        "-o",
        "run",
        text=text,
    )
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["cells"][0]["pass_rate"] == 1


def test_what_is_not_supported_is_named_before_anything_is_sent(
    evaluate, server: ChatServer
) -> None:
    text = """
prompts: ["add {{a}} and 1"]
tests:
  - vars: {a: 1}
    assert: [{type: javascript, value: "true"}, {type: equals, value: 2}]
"""
    run = evaluate(text=text)
    assert run.returncode == 2
    assert "cases.yaml:5: assertion 'javascript' is not supported" in run.stderr
    assert not server.bodies
    skipped = evaluate("--skip-unsupported", "--json", "-o", "run", text=text)
    assert skipped.returncode == 0, skipped.stderr
    assert len(json.loads(skipped.stdout)["left_out"]) == 1


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        (("--prompt", "nowhere.md"), "no prompt at nowhere.md"),
        (("--fail-if", "pass_rate < 90"), "can never tell anything"),
        (("--fail-if", "speed > 1"), "unknown metric 'speed'"),
        (("--money-budget", "1"), "--money-budget needs prices"),
        (("--judge-model", "j"), "--judge-model is a model at --judge-url"),
        (("--embedding-url", "http://127.0.0.1:9"), "--embedding-url needs a model's name"),
    ],
)
def test_wrong_input_is_told_before_anything_is_sent(
    evaluate, server: ChatServer, options: tuple[str, ...], wrong: str
) -> None:
    run = evaluate(*options)
    assert run.returncode == 2
    assert wrong in run.stderr
    assert not server.bodies


def test_a_budget_is_never_passed(evaluate, server: ChatServer) -> None:
    run = evaluate("--token-budget", "400", "--max-tokens", "20", "--json", "-o", "run")
    report = json.loads(run.stdout)
    assert report["stopped"] == "the token budget is spent"
    assert sum(cell["tokens"] for cell in report["cells"]) <= 400
    assert len(server.bodies) < 48


def test_a_stopped_run_goes_on_with_a_higher_budget(evaluate, cli: Cli, server: ChatServer) -> None:
    evaluate("--token-budget", "400", "--max-tokens", "20", "-o", "run")
    asked = len(server.bodies)
    run = cli("prompt", "eval", "--resume", "run", "--token-budget", "100000", "--json")
    assert run.returncode == 0, run.stderr
    assert 0 < asked < len(server.bodies) == len(set(server.bodies)) == 48
    refused = cli("prompt", "eval", "--resume", "run", "--temperature", "1")
    assert refused.returncode == 2
    assert "--token-budget, --money-budget" in refused.stderr


KEY_WITH_LINES = {
    "cases": "sha256:7bff989390877409f6215c7f2c4e975f823b280eb868675fe5a4632e30b47a6a",
    "prompts": "sha256:5e9ee74e75993be5af972e22608bc04af79a9af778face41b637082da43e020b",
    "models": "sha256:0353911acb607f16922c945d9c97f8cd6aaab18e84e83fdeb431e7d58c5282d5",
}
"""Of the six cases, as runs kept it while lines of a file were in it."""


@pytest.fixture
def older_run(evaluate, tmp_path: Path) -> Path:
    """A folder whose budget stopped it, as versions left it that kept no spending.jsonl."""
    evaluate("--token-budget", "100", "--max-tokens", "20", "-o", "run", text=cases_of(6))
    folder = tmp_path / "run"
    (folder / "spending.jsonl").unlink()
    (folder / "key.json").write_text(json.dumps(KEY_WITH_LINES))
    return folder


def test_a_run_of_before_goes_on_with_what_is_left_of_its_budget(
    older_run: Path, cli: Cli, server: ChatServer
) -> None:
    asked = len(server.bodies)
    assert 0 < asked < 12
    same = cli("prompt", "eval", "--resume", "run")
    assert "cannot go on" not in same.stderr
    assert len(server.bodies) == asked
    kept = json.loads((older_run / "key.json").read_text())
    assert kept.keys() == KEY_WITH_LINES.keys()
    assert kept["cases"] != KEY_WITH_LINES["cases"]
    more = cli("prompt", "eval", "--resume", "run", "--token-budget", "9999")
    assert more.returncode == 0, more.stderr
    assert len(server.bodies) == len(set(server.bodies)) == 12


def test_a_run_of_before_with_other_cases_is_refused(
    older_run: Path, cli: Cli, tmp_path: Path
) -> None:
    (tmp_path / "cases.yaml").write_text(cases_of(6).replace("a: 3", "a: 4"))
    run = cli("prompt", "eval", "--resume", "run")
    assert run.returncode == 2
    assert "its cases are others now" in run.stderr
    assert json.loads((older_run / "key.json").read_text()) == KEY_WITH_LINES


def test_what_was_lost_counts_for_the_next_model_and_the_next_part(
    cli: Cli, tmp_path: Path
) -> None:
    """Nobody knows what a server takes for a request whose connection it drops."""

    def drops(body: dict[str, object]) -> str:
        raise ConnectionAbortedError

    (tmp_path / "cases.yaml").write_text(cases_of(12))
    with scripted(drops) as model:
        options = ["--url", model.url, "--model", "a", "--model", "b", "--retries", "0"]
        options += ["--token-budget", "400", "--max-tokens", "20", "--concurrency", "1"]
        cli("prompt", "eval", "cases.yaml", "--prompt", "add {{a}} and 1", *options, "-o", "run")
        asked = len(model.bodies)
        cli("prompt", "eval", "--resume", "run")
        assert len(model.bodies) == asked
    least = len("add 1 and 1") + 20
    assert 1 < asked <= 400 / least


RANKED = """
prompts: ["add {{a}} and {{b}}", "add {{a}} and {{b}}, with care"]
defaultTest:
  assert: [{type: max-score, value: %s}, {type: equals, value: "{{sum}}", metric: "sums{{b}}"}]
tests:
"""


@pytest.mark.parametrize(
    ("value", "rates"),
    [
        ("{}", [0.75, 0.25]),
        ("{method: sum, weights: {equals: 3}, threshold: 3}", [0.75, 0.25]),
        ("{threshold: 1.5}", [0, 0]),
    ],
)
def test_the_answer_that_scores_best_passes_whatever_stands_on_its_line(
    evaluate, value: str, rates: list[float]
) -> None:
    text = cases_of(24).replace(CASES, RANKED % value)
    run = evaluate("--json", "-o", "run", text=text)
    cells = json.loads(run.stdout)["cells"]
    assert [cell["pass_rate"] for cell in cells] == rates
    assert [cell["metrics"] for cell in cells] == [{"sums1": 0.75}, {"sums1": 1}]


def test_a_choice_that_a_judge_made_stands_when_a_run_goes_on(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "cases.yaml").write_text(
        """
prompts: ["say {{a}}", "please say {{a}}"]
tests:
  - vars: {a: one}
    assert: [{type: select-best, value: "the kinder", metric: kind}, {type: icontains, value: o}]
  - vars: {a: two}
    assert: [{type: select-best, value: "the kinder", metric: kind, weight: 0}]
"""
    )
    chosen = itertools.cycle([0, 1, 1, 0])

    def says_or_chooses(body: dict[str, Any]) -> str:
        text = str(body["messages"][-1]["content"])
        return json.dumps({"best": next(chosen)}) if "<criterion>" in text else "so"

    with scripted(says_or_chooses) as model:
        options = ["--url", model.url, "--judge-url", model.url, "--judge-model", "j"]
        first = cli("prompt", "eval", "cases.yaml", *options, "-o", "run", "--json")
        asked = len(model.bodies)
        again = cli("prompt", "eval", "--resume", "run", "--json")
        assert len(model.bodies) == asked == 6
    for run in (first, again):
        cells = json.loads(run.stdout)["cells"]
        assert [cell["passes"] for cell in cells] == [2, 1]
        assert [cell["metrics"]["kind"] for cell in cells] == [0.5, 0]


@pytest.mark.parametrize(
    ("assertion", "wrong"),
    [
        ("{type: contains}", "contains needs a text"),
        ("{type: word-count, value: {min: x}}", "word-count needs min, max"),
        ("{type: max-score, value: {method: best}}", "max-score: method: unknown value 'best'"),
    ],
)
def test_an_assertion_that_can_judge_nothing_is_told_before_anything_is_sent(
    evaluate, server: ChatServer, assertion: str, wrong: str
) -> None:
    run = evaluate("--prompt", "add {{a}} and 1", text=f"tests: [{{assert: [{assertion}]}}]")
    assert run.returncode == 2
    assert f"cases.yaml:1: {wrong}" in run.stderr
    assert not server.bodies


DUMPED = """
prompts:
  - '[{"role": "system", "content": "{{n.length}}"}, {"role": "user", "content": {{a | dump}}}]'
tests: [{vars: {a: '1 "and" 1', n: [1, 2]}}]
"""


def test_a_chat_that_a_template_writes_is_a_chat(evaluate, server: ChatServer) -> None:
    server.answer = lambda _: says("x")
    run = evaluate("-o", "run", text=DUMPED)
    assert run.returncode == 0, run.stderr
    contents = [each["content"] for each in json.loads(server.bodies[0])["messages"]]
    assert contents == ["2", '1 "and" 1']


def test_turns_that_hang_on_earlier_answers_are_named(evaluate, server: ChatServer) -> None:
    text = "prompts: ['{% for each in _conversation %}{% endfor %}']\ntests: [{vars: {a: 1}}]"
    run = evaluate(text=text)
    assert run.returncode == 2
    assert "cases.yaml:1: _conversation" in run.stderr
    assert not server.bodies


def test_one_model_with_two_settings_is_not_one_of_them(evaluate, server: ChatServer) -> None:
    providers = ["{id: openai:m, config: {temperature: 0}}", "{id: openai:m, config: {stop: x}}"]
    text = f"providers: [{', '.join(providers)}]\n{cases_of(2)}"
    run = evaluate(text=text)
    assert run.returncode == 2
    assert "model 'm' with other settings than above" in run.stderr
    assert not server.bodies


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--token-budget", "20"], "--token-budget buys no request"),
        (["--fail-if", "worse > 0"], "worse > 0 can never hold"),
        (["--fail-if", "cost > 1"], "needs prices"),
    ],
)
def test_what_can_measure_nothing_ends_before_the_start(
    evaluate, server: ChatServer, tmp_path: Path, options: list[str], words: str
) -> None:
    run = evaluate("--prompt", "add {{a}} and 1", "-o", "run", *options, text=cases_of(8))
    assert run.returncode == 2
    assert words in run.stderr
    assert not server.bodies
    assert not (tmp_path / "run").exists()


def test_a_run_that_a_budget_ends_before_its_first_answer_does_not_pass(evaluate) -> None:
    options = ("--max-tokens", "100", "--token-budget", "160", "-o", "run", "--concurrency", "1")
    text = cases_of(1).replace("a: 0", "a: 0, long: " + "x" * 200)
    text += "  - vars: {a: 1, long: x}\n"
    run = evaluate("--prompt", "add {{a}} and {{long}}", *options, text=text)
    assert run.returncode == 5
    assert "nothing was measured: the token budget is spent" in run.stderr


def test_saved_runs_are_compared_gated_and_exported(evaluate, cli: Cli, tmp_path: Path) -> None:
    careful = evaluate("--prompt", "add {{a}} and 1, with care", "-o", "old")
    assert careful.returncode == 0, careful.stderr
    assert "100.0%" in careful.stdout
    assert "100.0%" not in careful.stderr
    evaluate("--prompt", "add {{a}} and 1", "-o", "new")
    listed = json.loads(cli("report", "list", ".", "--json").stdout)
    assert [each["model"] for each in listed] == ["adder", "adder"]
    shown = cli("report", "compare", "old", "new", "--json")
    assert shown.returncode == 0, shown.stderr
    found = json.loads(shown.stdout)
    (column,) = found["columns"]
    assert (column["difference"], column["cases"], column["verdict"]) == (-0.25, 24, "worse")
    assert column["ci95"][0] < -0.25 < column["ci95"][1] < 0
    assert column["p"] == pytest.approx(2 / 2**6)
    table = cli("report", "compare", "old", "new", "--format", "markdown")
    assert "-25.0%" in table.stdout
    gate = cli("report", "gate", "new", "--baseline", "old", "--fail-if", "worse > 0")
    assert gate.returncode == 5
    assert "1 of 1 are surely worse" in gate.stdout
    other = cli("report", "gate", "old", "--baseline", "new", "--fail-if", "pass_rate < -1%")
    assert other.returncode == 0, other.stderr
    page = cli("report", "html", "new", "-o", "one.html")
    assert page.returncode == 0, page.stderr
    assert (tmp_path / "one.html").read_text().count("<details>") == 24
    for form in ("markdown", "csv", "junit"):
        made = cli("report", "export", "new", "--format", form)
        assert made.returncode == 0, made.stderr
        assert "24" in made.stdout
    (tmp_path / "new/outcomes.jsonl").unlink()
    gone = cli("report", "compare", "old", "new")
    assert gone.returncode == 2
    assert "does not tell its cases one by one" in gone.stderr


def test_a_report_of_before_is_a_baseline_though_its_digests_were_others(
    evaluate, cli: Cli, tmp_path: Path
) -> None:
    for name in ("old", "new"):
        evaluate("--prompt", "add {{a}} and 1, with care", "-o", name)
    path = tmp_path / "old/report.json"
    report = json.loads(path.read_text())
    for case in report["named_cases"]:
        case["digest"] = case["digest"][::-1]
    gate = ("report", "gate", "new", "--baseline", "old", "--fail-if", "worse > 0")
    for schema, code in ((report["schema"], 5), ("llmops.prompt-eval/1", 0)):
        path.write_text(json.dumps({**report, "schema": schema}))
        judged = cli(*gate)
        assert judged.returncode == code, judged.stdout
        assert ("other values or assertions" in judged.stdout) == bool(code)
        shown = json.loads(cli("report", "compare", "old", "new", "--json").stdout)
        assert shown["changed"] == (24 if code else 0)
        assert shown["columns"][0]["cases"] == 24
