"""`llmops guard truth`: an answer beside a document, by rules and by a judge model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.chat_server import Reply, says, serving
from tests.conftest import Cli

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

DOCUMENT = "The shop opens at nine. Dogs are not admitted.\n"
ANSWER = "The shop opens at ten. Dogs are not admitted. Cats sleep."
VERDICTS = ["contradicted", "supported", "not_said"]


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, ...]:
    (tmp_path / "d.txt").write_text(DOCUMENT)
    (tmp_path / "a.txt").write_text(ANSWER)
    return ("guard", "truth", "a.txt", "--document", "d.txt")


def test_each_claim_has_a_verdict_and_strict_is_a_gate(cli: Cli, files: tuple[str, ...]) -> None:
    run = cli(*files, "--json")
    assert run.returncode == 0, run.stderr
    assert [one["verdict"] for one in json.loads(run.stdout)] == VERDICTS
    gate = cli(*files, "--strict")
    assert gate.returncode == 5
    assert "1 of 3 claims are contradicted" in gate.stderr
    assert "not said" in gate.stdout


def test_a_judge_model_reads_with_a_schema(cli: Cli, files: tuple[str, ...]) -> None:
    def judges(number: int) -> Reply:
        words = ["CONTRADICTED", "SUPPORTED", "I would rather not say"]
        return says(json.dumps({"choice": words[number]}))

    with serving(judges) as judge:
        judged = ("--judge-url", judge.url)
        run = cli(*files, *judged, "--json")
        assert run.returncode == 0, run.stderr
        found = json.loads(run.stdout)
        assert sum(one is None for one in found) == 1
        asked = json.loads(judge.bodies[0])
        schema = asked["response_format"]["json_schema"]["schema"]
        assert set(schema["properties"]["choice"]["enum"]) >= {"SUPPORTED", "CONTRADICTED"}
        judge.answer = lambda _: (404, {})
        dead = cli(*files, *judged)
        assert dead.returncode == 4
        assert "decided none of 3 claims: http 404" in dead.stderr


def test_rates_are_of_our_labels_or_of_the_users(cli: Cli, tmp_path: Path) -> None:
    own = json.loads(cli("guard", "truth", "--rates", "--json").stdout)
    assert own["claims"] >= 60
    row = {"document": DOCUMENT, "claim": "The shop opens at ten.", "verdict": "contradicted"}
    (tmp_path / "l.jsonl").write_text(json.dumps(row))
    found = json.loads(cli("guard", "truth", "--labels", "l.jsonl", "--json").stdout)
    assert found["verdicts"]["contradicted"]["recall"] == 1
    (tmp_path / "l.jsonl").write_text(json.dumps({**row, "verdict": "true"}))
    bad = cli("guard", "truth", "--labels", "l.jsonl")
    assert (bad.returncode, "line 1" in bad.stderr) == (2, True)


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        ((), 2, "beside a document"),
        (("--document", "nowhere.txt"), 2, "nowhere.txt cannot be read"),
        (("--rates", "--strict"), 2, "not on an answer"),
        (("--rates", "--judge-model", "m"), 2, "--judge-url"),
        (("--rates", "--judge-url", "http://127.0.0.1:9"), 3, "nothing answers"),
    ],
    ids=["bare", "document", "strict", "model", "dead"],
)
def test_what_cannot_be_is_one_line(args: tuple[str, ...], code: int, words: str, cli: Cli) -> None:
    run = cli("guard", "truth", *args)
    assert run.returncode == code, run.stderr
    assert words in run.stderr
    assert "Traceback" not in run.stderr
