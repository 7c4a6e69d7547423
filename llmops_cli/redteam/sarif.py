"""SARIF 2.1.0 as GitHub's code scanning takes it: rules, places in the suite, and fingerprints.

Limits and required fields: docs.github.com, "SARIF support for code scanning". Of a rule nothing
changes from run to run, as that page asks: what was measured stands in the run's properties.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from llmops_cli import __version__
from llmops_cli.core.visible import visible_line
from llmops_cli.core.wrong_json import UNREADABLE
from llmops_cli.redteam.places import Places, places_of
from llmops_cli.redteam.report import FamilyResult, RedteamExample, RedteamReport
from llmops_cli.redteam.target import target_title

VERSION = "2.1.0"
SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
PROJECT_URI = "https://github.com/llmops-cli/llmops-cli"
HELP_URI = "https://genai.owasp.org/llm-top-10/"
MOST_RESULTS = 25_000
"""Of a run; GitHub refuses a file with more."""
SUCCESSES = "successes.jsonl"
"""In a run's folder: every success, of which the report has some examples."""
PROMPT_CHARS = 400
NAME_CHARS = 255
SEVERITY = "8.0"
"""Of 10: what GitHub calls high."""
SEVERITY_BEHIND_GUARD = "4.0"
FINGERPRINT = "primaryLocationLineHash"
"""The only one of `partialFingerprints` that GitHub reads."""


def redteam_sarif(report: RedteamReport, successes: Sequence[RedteamExample]) -> bytes:
    """A rule for each family, and a result for each success, those through the guard first."""
    recipe = report.manifest.recipe
    model = visible_line(target_title(recipe))
    places = places_of(recipe)
    ordered = sorted(successes, key=lambda each: bool(each.stopped_by_guard))
    names = list(dict.fromkeys([*report.families, *(each.family for each in ordered)]))
    rules = [_rule(name, report.families.get(name)) for name in names]
    numbers = {name: number for number, name in enumerate(names)}
    results = [
        _result(each, rule=numbers[each.family], model=model, places=places)
        for each in ordered[:MOST_RESULTS]
    ]
    run = {
        "tool": {"driver": _driver(rules)},
        "columnKind": "unicodeCodePoints",
        "automationDetails": {"id": f"llmops-redteam/{model}/"},
        "results": results,
        "properties": {
            "successes": report.overall.successes,
            "leftOut": report.overall.successes - len(results),
            "asr": {visible_line(name): found.asr for name, found in report.families.items()},
        },
    }
    return msgspec.json.encode({"version": VERSION, "$schema": SCHEMA, "runs": [run]})


def _driver(rules: Sequence[Mapping[str, object]]) -> dict[str, object]:
    return {
        "name": "llmops redteam",
        "version": __version__,
        "semanticVersion": __version__,
        "informationUri": PROJECT_URI,
        "rules": rules,
    }


def _rule(name: str, result: FamilyResult | None) -> dict[str, object]:
    words = _rule_id(name)
    known = result or FamilyResult(attempts=0, successes=0, asr=None, ci95=None)
    mapped = ", ".join(each for each in (known.owasp, known.atlas, known.cwe) if each)
    about = f"Attacks of the family {words} make the model do what its system prompt forbids."
    help_text = f"{about} {mapped}".strip()
    return {
        "id": words,
        "name": words,
        "shortDescription": {"text": f"Attack family {words}"},
        "fullDescription": {"text": about},
        "help": {"text": help_text, "markdown": help_text},
        "helpUri": HELP_URI,
        "defaultConfiguration": {"level": "error"},
        "properties": {
            "tags": ["security", *_tags(known)],
            "security-severity": SEVERITY,
            "precision": "high",
            "problem.severity": "error",
            "owasp": known.owasp,
            "atlas": known.atlas,
            "cwe": known.cwe,
        },
    }


def _tags(result: FamilyResult) -> list[str]:
    """GitHub shows a weakness that is tagged as its own queries' are."""
    if not result.cwe:
        return []
    number = result.cwe.lower().removeprefix("cwe-")
    return [f"external/cwe/cwe-{number:0>3}"]


def _result(
    example: RedteamExample,
    *,
    rule: int,
    model: str,
    places: Places,
) -> dict[str, object]:
    attack = _attack_words(example)
    prompt = visible_line(example.prompt[:PROMPT_CHARS])
    is_stopped = bool(example.stopped_by_guard)
    found = places.place_of(example.family, example.attack)
    region = {
        "startLine": found.line,
        "startColumn": found.column,
        "endLine": found.line,
        "endColumn": found.end_column,
    }
    place = {"artifactLocation": {"uri": places.uri}, "region": region}
    message = f"{attack} on {model}: {visible_line(example.why)}. Prompt: {prompt}"
    return {
        "ruleId": _rule_id(example.family),
        "ruleIndex": rule,
        "level": "warning" if is_stopped else "error",
        "message": {"text": _without_links(message)},
        "locations": [
            {
                "physicalLocation": place,
                "logicalLocations": [{"name": model, "kind": "module"}],
            }
        ],
        "partialFingerprints": {FINGERPRINT: _fingerprint(example, model)},
        "properties": {
            "security-severity": SEVERITY_BEHIND_GUARD if is_stopped else SEVERITY,
            "stoppedByGuard": example.stopped_by_guard,
        },
    }


def _rule_id(family: str) -> str:
    """GitHub takes no longer name of a rule."""
    return visible_line(family)[:NAME_CHARS]


def _without_links(message: str) -> str:
    """SARIF reads `[text](address)` as a link, and a prompt may well hold one."""
    return message.replace("](", "] (")


def _attack_words(example: RedteamExample) -> str:
    words = visible_line(example.attack[:PROMPT_CHARS])
    return f"{words} ({visible_line(example.transform)})" if example.transform else words


def _fingerprint(example: RedteamExample, model: str) -> str:
    """The same attack on the same model is one alert in every run, whatever was drawn for it."""
    told = [model, example.family, example.attack, example.transform]
    digest = hashlib.sha256(repr(told).encode("utf-8", "backslashreplace")).hexdigest()
    return f"{digest[:16]}:1"


def read_successes(folder: Path, report: RedteamReport) -> Sequence[RedteamExample]:
    """All of a run; of one that kept none of its own, the report's examples."""
    path = folder / SUCCESSES
    if not path.is_file():
        return report.examples
    found = []
    for line in path.read_bytes().splitlines():
        try:
            found.append(msgspec.json.decode(line, type=RedteamExample))
        except UNREADABLE:
            continue
    return found


def successes_lines(successes: Sequence[RedteamExample]) -> bytes:
    """As `read_successes` takes them."""
    return b"".join(msgspec.json.encode(each) + b"\n" for each in successes)
