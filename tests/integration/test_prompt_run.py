"""`llmops prompt run` as a user has it: cases, budgets, kill -9 and wrong input."""

from __future__ import annotations

import json
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.chat_server import serving
from tests.conftest import Cli
from tests.scripted_model import ScriptedModel, scripted

pytestmark = pytest.mark.timeout(120)
RIGHT_BY_STEPS = 0.7
RIGHT_AT_ONCE = 0.3


def adds(body: dict[str, Any]) -> str:
    """Adds rightly more often where it is told to take steps; by its seed, so that it repeats."""
    text = str(body["messages"][-1]["content"])
    found = re.search(r"(\d+) \+ (\d+)", text)
    assert found is not None
    total = int(found[1]) + int(found[2])
    draw = random.Random(f"{body.get('seed')} {body['temperature'] > 0} {text}").random()
    if "step by step" in text:
        return f"We add them.\nAnswer: {total if draw < RIGHT_BY_STEPS else total + 1}"
    return f"The sum is {total if draw < RIGHT_AT_ONCE else total + 1}"


@pytest.fixture
def model() -> Iterator[ScriptedModel]:
    with scripted(adds) as server:
        yield server


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    path = tmp_path / "cases.jsonl"
    rows = [{"question": f"What is {n} + {2 * n}?", "answer": 3 * n} for n in range(10, 50)]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def test_techniques_stand_beside_one_another_with_intervals(
    cli: Cli, model: ScriptedModel, cases: Path, tmp_path: Path
) -> None:
    run = cli(
        "prompt", "run", "--cases", cases.name, "--url", model.url, "-o", "run", "--json",
        "--technique", "zero-shot,cot", "--technique", "self-consistency", "--price-in", "1",
        "--price-out", "2",
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    report = json.loads(run.stdout)
    assert "self-consistency" in (tmp_path / "run" / "report.html").read_text()
    results = report["techniques"]
    assert list(results) == ["zero-shot", "cot", "self-consistency"]
    at_once = results["zero-shot"]
    assert at_once["strict"]["right"] == 0  # `The sum is ...` is not what was asked for
    assert at_once["lenient"]["right"] > 0
    low, high = at_once["lenient"]["ci95"]
    assert low < at_once["lenient"]["share"] < high
    steps = results["cot"]
    vote = results["self-consistency"]
    assert steps["calls"] == 40
    assert vote["lenient"]["share"] > steps["lenient"]["share"] > at_once["lenient"]["share"]
    assert 4 * 40 <= vote["calls"] < 40 * 40 / 2  # by one rival: 14.6 a question on average
    sent = sum(result["calls"] for result in results.values())
    assert report["calls"] == sent == len(model.bodies)
    tokens = sum(
        result["input_tokens"] + 2 * result["output_tokens"] for result in results.values()
    )
    assert report["cost"] == pytest.approx(tokens / 1e6)
    pair = next(pair for pair in report["pairs"] if pair["second"] == "self-consistency")
    assert pair["p"] <= pair["p_adjusted"]
    samples = Counter(
        (body["messages"][-1]["content"], body["seed"])
        for body in model.bodies
        if body["temperature"] > 0
    )
    assert max(samples.values()) == 1  # n samples are n different requests
    shown = cli("report", "show", "run")
    assert "self-consistency" in shown.stdout
    compared = cli("report", "compare", "run", "run", "--metric", "strict", "--json")
    assert [each["difference"] for each in json.loads(compared.stdout)["columns"]] == [0, 0, 0]
    worse = ("--fail-if", "worse > 0")
    assert cli("report", "gate", "run", "--baseline", "./run/", *worse).returncode == 2
    shutil.copytree(tmp_path / "run", tmp_path / "before")
    gate = cli("report", "gate", "run", "--baseline", "before", *worse)
    assert gate.returncode == 0, gate.stderr
    page = cli("report", "html", "run")
    assert page.returncode == 0, page.stderr


def test_a_killed_run_goes_on_and_sends_nothing_twice(tmp_path: Path, cases: Path) -> None:
    with scripted(adds, delay_s=0.02) as model:
        argv = [sys.executable, "-m", "llmops_cli", "prompt", "run"]
        asked = ["--cases", cases.name, "--url", model.url, "--technique", "self-consistency"]
        process = subprocess.Popen(
            [*argv, *asked, "--concurrency", "4", "-o", "run"],
            cwd=tmp_path,
            stderr=subprocess.DEVNULL,
        )
        outcomes = tmp_path / "run" / "outcomes.jsonl"
        for _ in range(400):
            if outcomes.exists() and len(outcomes.read_bytes().splitlines()) > 5:
                break
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.wait()
        before = len(model.bodies)
        assert 20 < before < 600
        run = subprocess.run(
            [*argv, "--resume", "run", "--json"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert run.returncode == 0, run.stderr
        report = json.loads(run.stdout)
        (result,) = report["techniques"].values()
        assert result["questions"] == 40
        in_flight = 4 * 4
        assert len(model.bodies) - result["calls"] <= in_flight
        seen = Counter(json.dumps(body) for body in model.bodies)
        assert sum(count - 1 for count in seen.values()) <= in_flight


def test_a_budget_of_calls_is_kept_to_the_call_and_can_be_raised(
    cli: Cli, model: ScriptedModel, cases: Path
) -> None:
    run = cli(
        "prompt", "run", "--cases", cases.name, "--url", model.url, "-o", "run", "--json",
        "--technique", "self-consistency", "--max-calls", "101",
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    report = json.loads(run.stdout)
    assert report["stopped"] == "the budget of calls is spent"
    assert report["manifest"]["complete"] is False
    assert report["calls"] == len(model.bodies) == 101
    again = cli("prompt", "run", "--resume", "run", "--max-calls", "9999", "--json")
    report = json.loads(again.stdout)
    assert report["stopped"] is None
    assert report["techniques"]["self-consistency"]["questions"] == 40
    assert report["calls"] == len(model.bodies) == report["techniques"]["self-consistency"]["calls"]


def test_requests_that_were_refused_count_in_every_part_of_a_run(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "one.jsonl").write_text('{"question": "What is 1 + 2?", "answer": 3}\n')
    with serving(lambda _: (429, {"error": {"message": "later"}})) as busy:
        run = cli(
            "prompt", "run", "--cases", "one.jsonl", "--url", busy.url, "-o", "run", "--json",
            "--retries", "9", "--max-calls", "3",
        )  # fmt: skip
        assert json.loads(run.stdout)["calls"] == busy.asked == 3
        again = cli("prompt", "run", "--resume", "run", "--json")
        assert json.loads(again.stdout)["calls"] == busy.asked == 3
    assert (run.returncode, again.returncode) == (5, 5)


def test_a_run_of_before_has_spent_what_its_calls_tell(
    cli: Cli, model: ScriptedModel, cases: Path, tmp_path: Path
) -> None:
    """Versions that kept no spending.jsonl counted the lines of calls.jsonl."""
    options = ("--cases", cases.name, "--url", model.url, "-o", "run", "--max-calls", "10")
    cli("prompt", "run", *options)
    (tmp_path / "run/spending.jsonl").unlink()
    run = cli("prompt", "run", "--resume", "run", "--max-calls", "25", "--json")
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["calls"] == len(model.bodies) == 25


def test_a_budget_of_money_is_never_passed(cli: Cli, model: ScriptedModel, cases: Path) -> None:
    run = cli(
        "prompt", "run", "--cases", cases.name, "--url", model.url, "--json", "--max-tokens", "8",
        "--price-in", "10", "--price-out", "10", "--max-cost", "0.003",
    )  # fmt: skip
    report = json.loads(run.stdout)
    assert report["stopped"] == "the money budget is spent"
    assert 0 < report["cost"] <= 0.003


def test_a_question_alone_is_answered_on_stdout(cli: Cli, model: ScriptedModel) -> None:
    run = cli("prompt", "run", "What is 2 + 2?", "--technique", "cot", "--url", model.url)
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("We add them.\nAnswer: ")
    assert run.stdout.split("\n")[-2].startswith("= ")


def test_a_prompt_file_stands_around_the_question(
    cli: Cli, model: ScriptedModel, tmp_path: Path
) -> None:
    (tmp_path / "p.md").write_text(
        "---\nmodel: mine\nparameters: {max_tokens: 9, temperature: 0.5}\n---\n"
        "system:\nBe {{tone}}.\n\nuser:\nQ: {{question}}\n"
    )
    run = cli(
        "prompt", "run", "1 + 1", "--prompt", "p.md", "--var", "tone=kind", "--url", model.url
    )
    assert run.returncode == 0, run.stderr
    (body,) = model.bodies
    assert (body["model"], body["max_tokens"], body["temperature"]) == ("mine", 9, 0.5)
    messages = body["messages"]
    assert messages[0] == {"role": "system", "content": "Be kind."}
    assert messages[1]["content"].startswith("Q: 1 + 1\n")


@pytest.mark.parametrize(
    ("args", "code", "message", "hint"),
    [
        ([], 2, "a question, or --cases FILE", "llmops prompt run"),
        (["q", "--cases", "cases.jsonl"], 2, "a question, or --cases FILE", ""),
        (["q", "--technique", "cott"], 2, "unknown technique 'cott'", "did you mean 'cot'?"),
        (["q", "--technique", "cot,cot"], 2, "given twice", ""),
        (["q", "--technique", "few-shot"], 2, "needs examples", "--examples"),
        (["q", "--technique", "react"], 2, "needs tools", "--tool"),
        (["q", "--tool", "calculator"], 2, "--tool is for --technique react", ""),
        (["q", "--technique", "auto-cot"], 2, "needs questions", "--pool"),
        (["q", "--answer", "numbr"], 2, "unknown answer form", "did you mean 'number'?"),
        (["q", "--max-cost", "1"], 2, "needs prices", "--price-in"),
        (
            ["q", "--max-cost", "1e-7", "--price-in", "1", "--price-out", "1"],
            2,
            "buys no request",
            "--max-cost",
        ),
        (["q", "--prompt", "nothing.md"], 2, "no prompt at nothing.md", ""),
        (["q", "--evaluator-model", "m"], 2, "--evaluator-url", ""),
        (["--cases", "none.jsonl"], 2, "no file at none.jsonl", "JSONL"),
        (["--cases", "empty.jsonl"], 2, "holds no questions", ""),
        (["--cases", "odd.jsonl"], 2, "odd.jsonl, line 1: unknown field 'qestion'", "'question'"),
        (["--cases", "wide.csv"], 2, "wide.csv, row 2: more cells than the header", ""),
        (["q", "--url", "http://127.0.0.1:9"], 3, "nothing answers", ""),
        (["--resume", "nowhere"], 2, "holds no run", ""),
        (["q", "--stop-rule", "btea"], 2, "no such value", "did you mean 'beta'?"),
    ],
)
def test_wrong_input_is_told_before_anything_is_asked(
    cli: Cli, tmp_path: Path, args: list[str], code: int, message: str, hint: str
) -> None:
    (tmp_path / "cases.jsonl").write_text('{"question": "1 + 1", "answer": "2"}\n')
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "odd.jsonl").write_text('{"qestion": "1 + 1"}\n')
    (tmp_path / "wide.csv").write_text("question,answer\n1 + 1,2,3\n")
    run = cli("prompt", "run", *args)
    assert run.returncode == code, run.stderr
    assert message in run.stderr
    assert hint in run.stderr
    assert "bug in llmops" not in run.stderr
    assert not (tmp_path / "results").exists()


def looks_up(body: dict[str, Any]) -> str:
    """Knows nothing by itself, but reads what a tool shows."""
    said = " ".join(str(message["content"]) for message in body["messages"])
    seen = re.search(r"Observation: .*?(\w+) has the code (\d+)", said)
    if seen is not None:
        return f"Thought: it is there.\nAnswer: {seen[2]}"
    asked = re.search(r"code of (\w+)", said)
    if "search[WORDS]" in said and asked is not None:
        return f"Thought: I look it up.\nAction: search[{asked[1]} code]"
    return "I think it is this.\nAnswer: 1"


def test_react_finds_what_stands_in_files_and_chain_of_thought_cannot(
    cli: Cli, tmp_path: Path
) -> None:
    files = tmp_path / "files"
    files.mkdir()
    names = ["Alba", "Bora", "Cena", "Dura", "Elis", "Fola", "Gara", "Hemi"]
    facts = "\n\n".join(f"{name} has the code {700 + n}." for n, name in enumerate(names))
    (files / "codes.txt").write_text(facts)
    rows = [
        {"question": f"What is the code of {name}?", "answer": 700 + n}
        for n, name in enumerate(names)
    ]
    (tmp_path / "cases.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with scripted(looks_up) as model:
        run = cli(
            "prompt", "run", "--cases", "cases.jsonl", "--url", model.url, "--json", "--technique",
            "cot,react", "--tool", "search,calculator", "--files", "files",
        )  # fmt: skip
    assert run.returncode == 0, run.stderr
    report = json.loads(run.stdout)
    results = report["techniques"]
    assert results["cot"]["lenient"]["right"] == 0
    assert results["react"]["strict"]["right"] == len(names)
    assert results["react"]["calls"] == 2 * len(names)
    (strict, lenient) = report["pairs"]
    assert strict["only_second"] == lenient["only_second"] == len(names)
    assert strict["p_adjusted"] == pytest.approx(2 / 2**8)
