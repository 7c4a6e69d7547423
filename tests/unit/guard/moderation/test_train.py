"""`llmops guard train` on texts with categories, and what its model says of others."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from llmops_cli.core.errors import UsageError
from llmops_cli.guard.check import Guard
from llmops_cli.guard.models import ready_policy
from llmops_cli.guard.moderation.features import hashed
from llmops_cli.guard.moderation.model import HashedModeration, load_moderation
from llmops_cli.guard.policy import Detector, Policy, PolicySide, load_policy
from tests.conftest import Cli
from tests.unit.guard.moderation.labelled import HATEFUL, PLAIN, VIOLENT, sentence, write_labelled

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from llmops_cli.core.progress import Silent
    from llmops_cli.guard.learnt.report import recipe_of
    from llmops_cli.guard.moderation.train import train_moderation
    from llmops_cli.runtime.runs import RunFolder

    folder = tmp_path_factory.mktemp("moderation")
    write_labelled(folder / "data.jsonl")
    recipe = recipe_of(folder / "data.jsonl", false_alarms=0.01, seed=None)
    run = RunFolder("guard-train", "data", chosen=folder / "model")
    train_moderation(recipe, run, progress=Silent())
    return folder / "model"


def test_each_category_is_caught_in_texts_that_were_not_seen(trained: Path) -> None:
    report = json.loads((trained / "report.json").read_text())
    found = {rates["category"]: rates for rates in report["categories"]}
    assert set(found) == {"hate", "violence"}
    assert report["left_out"] == {"sexual": 4}
    for rates in found.values():
        low, high = rates["caught_ci95"]
        assert low - 1e-9 <= rates["caught"] <= high + 1e-9
        assert rates["caught"] > 0.9
        assert rates["alarms"] <= 0.01
        assert rates["precision"] > 0.95
    assert found["hate"]["texts"] == 100
    assert found["violence"]["texts"] == 120
    card = (trained / "README.md").read_text()
    assert "sexual (4)" in card
    assert str(trained) in card


def test_new_texts_misspelt_and_disguised_ones_too(trained: Path) -> None:
    model = load_moderation(str(trained))
    rng = random.Random(9)
    for kind, category in ((HATEFUL, "hate"), (VIOLENT, "violence")):
        scores = model(sentence(rng, kind))
        assert [name for name, score in scores.items() if score.is_over] == [category]
    inflected = f"{' '.join(PLAIN[:9])} snorblins"
    assert model(inflected)["hate"].is_over
    disguised = f"{' '.join(PLAIN[:9])} snоrb\u200blin"  # a Cyrillic o, and a space of no width
    assert model(disguised)["hate"].is_over
    hidden = " ".join(PLAIN * 200) + " " + sentence(rng, HATEFUL, HATEFUL)
    assert model(hidden)["hate"].is_over
    for text in ("", " ", "\ud800", "?!", " ".join(PLAIN)):
        assert not any(score.is_over for score in model(text).values())


def test_the_file_says_what_its_weights_say(trained: Path) -> None:
    model = HashedModeration(trained)
    graph = onnx.load(trained / "model.onnx").graph
    values = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    text = sentence(random.Random(3), VIOLENT)
    found = hashed(text)
    logits = np.array(values["bias"], dtype=np.float64)
    for number, value in zip(found.numbers, found.values, strict=True):
        logits += value * values["weights"][number]
    expected = 1 / (1 + np.exp(-logits))
    said = [score.probability for score in model(text).values()]
    assert said == pytest.approx(list(expected), abs=1e-5)
    assert sum(value * value for value in found.values) == pytest.approx(1)


def test_a_policy_flags_by_it_and_tells_the_category(trained: Path) -> None:
    detector = Detector(action="block", name=f"onnx:{trained}")
    policy = Policy(
        input=PolicySide(detectors={"moderation": detector}), output=PolicySide(detectors={})
    )
    guard = Guard(policy)
    decision = guard.check_input(sentence(random.Random(5), HATEFUL))
    assert decision.action == "block"
    assert [(each.detector, each.rule) for each in decision.findings] == [("moderation", "hate")]
    assert guard.check_input(" ".join(PLAIN)).action == "allow"


def test_a_policys_threshold_is_a_factor_of_the_models_own(trained: Path) -> None:
    text = sentence(random.Random(5), HATEFUL)
    own = load_moderation(str(trained))(text)["hate"]
    for factor in (0.5, own.probability / own.threshold * 1.001, 100.0):
        detector = Detector(action="flag", name=f"onnx:{trained}", threshold=factor)
        side = PolicySide(detectors={"moderation": detector})
        guard = Guard(Policy(input=side, output=PolicySide(detectors={})))
        score = guard.moderation_scores(text)["hate"]
        assert score.threshold == pytest.approx(min(1.0, own.threshold * factor))
        assert (guard.check_input(text).action == "flag") == score.is_over == (factor == 0.5)


def test_a_policy_that_only_wants_its_scores_must_have_it(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text("input: {moderation: {action: allow, name: 'onnx:gone'}}\n")
    with pytest.raises(UsageError, match=r"gone/model\.onnx"):
        ready_policy(path)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("{action: flag}", "moderation needs a url or a name"),
        ("{action: flag, url: 'http://127.0.0.1:1/v1', name: 'onnx:m'}", "has both"),
        ("{action: flag, name: 'learnt:m'}", "is no model here"),
    ],
)
def test_a_wrong_entry_is_one_line(tmp_path: Path, entry: str, words: str) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(f"input: {{moderation: {entry}}}\n")
    with pytest.raises(UsageError, match=words):
        load_policy(path)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([{"text": "a", "categories": ["hat"]}], "hat"),
        ([{"text": "a", "categories": "hate"}], "categories"),
        ([{"text": 1, "categories": []}], "text"),
        ([{"text": "a", "categories": ["hate"]}] * 30, "no category with 20 texts"),
    ],
)
def test_wrong_rows_are_one_line_and_leave_nothing(
    cli: Cli, tmp_path: Path, rows: list[object], words: str
) -> None:
    (tmp_path / "data.jsonl").write_text("\n".join(map(json.dumps, rows)))
    run = cli("guard", "train", "data.jsonl", "-o", "model")
    assert run.returncode == 2, run.stderr
    assert words in run.stderr
    assert "Traceback" not in run.stderr
    assert not (tmp_path / "model").exists()


def test_the_command_makes_a_model_that_report_shows(cli: Cli, tmp_path: Path) -> None:
    write_labelled(tmp_path / "data.jsonl", rows=200)
    made = cli("guard", "train", "data.jsonl", "-o", "model")
    assert made.returncode == 0, made.stderr
    assert "violence" in made.stdout
    shown = cli("report", "show", "model")
    assert shown.returncode == 0, shown.stderr
    assert "violence" in shown.stdout
    again = cli("guard", "train", "data.jsonl", "-o", "other")
    assert again.returncode == 0, again.stderr
    for name in ("model.onnx", "moderation.json"):
        assert (tmp_path / "model" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()
