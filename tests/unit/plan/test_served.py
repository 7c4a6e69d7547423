"""What `plan serve --values` writes as the model: what serve finds, from any folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llmops_cli.core.errors import UsageError
from llmops_cli.models.find import may_be_found
from llmops_cli.plan.layouts import choose
from llmops_cli.plan.recipe import PlanRecipe
from llmops_cli.plan.served import reference_of, served_name, served_notes
from llmops_cli.plan.setting import Setting
from llmops_cli.sizing.hub_names import HUB_NAMES
from llmops_cli.sizing.public_models import CONFIGS, config_named


def _setting(model: str, **wishes: object) -> Setting:
    asked = {"model": model, "gpu": "b300", "gpus": 8, **wishes}
    return choose(PlanRecipe(**asked)).setting  # type: ignore[arg-type]


def _config(folder: Path) -> Path:
    path = folder / "config.json"
    path.write_text(json.dumps(dict(config_named("qwen3-0.6b"))))
    return path


@pytest.mark.parametrize("name", sorted(HUB_NAMES))
def test_a_public_name_is_written_as_the_hub_has_it(name: str) -> None:
    assert name in CONFIGS
    assert may_be_found(HUB_NAMES[name])


def test_a_name_is_written_and_told_and_clients_ask_by_the_short_one() -> None:
    setting = _setting("qwen3-8b")
    assert reference_of(setting) == "Qwen/Qwen3-8B"
    assert served_name(setting) == "qwen3-8b"
    assert "Qwen/Qwen3-8B" in served_notes(setting)[0]
    assert reference_of(_setting("Qwen/Qwen3-8B")) == "Qwen/Qwen3-8B"
    assert served_notes(_setting("Qwen/Qwen3-8B")) == ()


def test_a_folder_is_written_in_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").mkdir()
    _config(tmp_path / "mine")
    monkeypatch.chdir(tmp_path)
    setting = _setting("mine")
    assert reference_of(setting) == str(tmp_path / "mine")
    assert served_name(setting) == "mine"


def test_a_config_stands_for_its_folder_where_weights_are_there(tmp_path: Path) -> None:
    path = _config(tmp_path)
    with pytest.raises(UsageError, match="no weights beside it"):
        reference_of(_setting(str(path)))
    (tmp_path / "model.safetensors").write_bytes(b"")
    assert reference_of(_setting(str(path))) == str(tmp_path)


@pytest.mark.parametrize("name", ["deepseek-r1", "llama-3.1-8b-instruct"])
def test_a_name_that_only_has_a_known_shape_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="cannot find it by that name"):
        reference_of(_setting(name))


def test_another_format_than_the_models_own_is_told() -> None:
    told = served_notes(_setting("Qwen/Qwen3-8B", quant="AWQ-INT4"))
    assert "planned in AWQ-INT4, and Qwen/Qwen3-8B is BF16" in told[0]
