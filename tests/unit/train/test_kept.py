"""A trained model is kept only if its files are those that training wrote."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from llmops_cli.core.errors import UsageError
from llmops_cli.core.report import Manifest, Memory
from llmops_cli.runtime.contents import content_digest
from llmops_cli.runtime.files import to_json, write_atomic
from llmops_cli.train.data import data_digest
from llmops_cli.train.kept import refuse_another, refuse_place
from llmops_cli.train.recipe import TrainRecipe
from llmops_cli.train.report import TrainReport
from llmops_cli.train.run import REPORT, kept_report
from tests.unit.heard import Heard


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "demo-1"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"\1" * 5000)
    report = TrainReport(
        manifest=Manifest(recipe={}),
        path=".",
        digest=content_digest(folder, leaving={REPORT}),
        parameters=1,
        steps=1,
        loss=1.0,
        tokens=1,
        tokens_per_s=1.0,
        cpu_s=1.0,
        memory=Memory(),
    )
    write_atomic(folder / REPORT, to_json(report))
    return folder


def test_a_whole_model_is_kept(model: Path) -> None:
    heard = Heard()
    found = kept_report(model, heard)
    assert found is not None
    assert found.reused
    assert heard.warnings == []


def test_a_zeroed_layer_is_trained_again(model: Path) -> None:
    with (model / "model.safetensors").open("r+b") as file:
        file.write(b"\0" * 100)
    heard = Heard()
    assert kept_report(model, heard) is None
    assert "it is trained again" in heard.warnings[0]


@pytest.mark.parametrize("raw", [b"", b'{"schema": "llmops.train/1", "man'])
def test_a_report_that_is_cut_is_no_bug_but_training_again(raw: bytes, model: Path) -> None:
    (model / REPORT).write_bytes(raw)
    heard = Heard()
    assert kept_report(model, heard) is None
    assert len(heard.warnings) == 1


def test_a_moved_cache_is_where_it_is(model: Path, tmp_path: Path) -> None:
    moved = model.rename(tmp_path / "elsewhere")
    found = kept_report(moved, Heard())
    assert found is not None
    assert found.path == str(moved)


def test_what_belongs_to_the_run_is_no_part_of_the_model(model: Path) -> None:
    for name in ("checkpoints/step-3/a", "logs/rank-0.log", ".job/rank-0/input.json"):
        file = model / name
        file.parent.mkdir(parents=True)
        file.write_text("x")
    heard = Heard()
    assert kept_report(model, heard) is not None
    assert heard.warnings == []


def test_a_folder_of_another_run_is_refused_with_what_differs(model: Path) -> None:
    then = TrainRecipe(steps=5, seed=1)
    found = kept_report(model, Heard())
    assert found is not None
    manifest = Manifest(
        recipe=msgspec.to_builtins(then), digests={"run": "old", "data": data_digest(then)}
    )
    kept = msgspec.structs.replace(found, manifest=manifest)
    now = msgspec.structs.replace(then, seed=2, chat_template="chatml", keep=7)
    with pytest.raises(UsageError) as error:
        refuse_another(kept, model, now, key="new", world_size=2)
    differing = (
        "processes (1 then, 2 now), chat_template (none then, chatml now), seed (1 then, 2 now)"
    )
    assert str(error.value) == f"{model} holds a model of another run: {differing}"
    with pytest.raises(UsageError, match="another run: code or libraries"):
        refuse_another(kept, model, then, key="new", world_size=1)
    refuse_another(kept, model, now, key="old", world_size=2)


def test_a_model_is_no_file(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text("{}")
    with pytest.raises(UsageError, match=r"config\.json is a file"):
        refuse_place(TrainRecipe(), path)
    refuse_place(TrainRecipe(), tmp_path / "new")


def test_a_model_that_no_run_made_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    refuse_place(TrainRecipe(), tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UsageError, match="no run of llmops train made"):
        refuse_place(TrainRecipe(), tmp_path)
    (tmp_path / "checkpoints").mkdir()
    refuse_place(TrainRecipe(), tmp_path)


@pytest.mark.parametrize("field", ["model", "init"])
def test_a_model_is_not_trained_onto_itself(field: str, model: Path) -> None:
    recipe = TrainRecipe(**{field: f"{model}/../{model.name}"})
    with pytest.raises(UsageError, match="is the model that is trained"):
        refuse_place(recipe, model)
