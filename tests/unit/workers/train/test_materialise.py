"""Weights that are drawn block by block, or read piece by piece, are those of a whole model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")
import torch
from transformers import AutoModelForCausalLM

from tests.train_families import FAMILIES, config_of
from tests.train_settings import SETTINGS
from train.materialise import materialise, materialise_by_unit
from train.model import make_model
from train.settings import Settings
from train.weights import weights_of

NAMES = ["llama", *FAMILIES]
CPU = torch.device("cpu")


def settings_of(folder: Path, name: str, **begins: str) -> Settings:
    config = config_of(name, tied=True, vocabulary=19)
    (folder / "config.json").write_text(json.dumps(config.to_dict(), default=str))
    return Settings(**{**SETTINGS, **begins})


def assert_same(one, other) -> None:
    expected = {**weights_of(one), **dict(one.named_buffers())}
    found = {**weights_of(other), **dict(other.named_buffers())}
    assert list(found) == list(expected)
    for key, value in expected.items():
        assert torch.equal(found[key], value), key


@pytest.mark.parametrize("name", NAMES)
def test_new_models_are_the_same(tmp_path: Path, name: str) -> None:
    settings = settings_of(tmp_path, name, init=str(tmp_path))
    model = make_model(settings, 19, on_meta=True)
    materialise(model, settings, CPU)
    assert_same(make_model(settings, 19), model)
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight


def test_a_tokenizers_padding_changes_no_new_weight(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "llama", init=str(tmp_path))
    model = make_model(settings, 19, on_meta=True)
    model.config.pad_token_id = 3  # as vocabulary.match does it before ranks draw their parts
    materialise(model, settings, CPU)
    assert_same(make_model(settings, 19), model)


@pytest.mark.parametrize("name", NAMES)
def test_models_of_folders_are_the_same(tmp_path: Path, name: str) -> None:
    config = config_of(name, tied=False, vocabulary=19)
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    settings = Settings(**{**SETTINGS, "model": str(tmp_path)})
    model = make_model(settings, 19, on_meta=True)
    materialise(model, settings, CPU)
    assert_same(make_model(settings, 19), model)


@pytest.mark.parametrize("begins", ["init", "model"])
def test_one_block_at_a_time_has_memory(tmp_path: Path, begins: str) -> None:
    settings = settings_of(tmp_path, "llama", **{begins: str(tmp_path)})
    if begins == "model":
        AutoModelForCausalLM.from_config(
            config_of("llama", tied=True, vocabulary=19)
        ).save_pretrained(tmp_path)
    expected = dict(make_model(settings, 19).named_parameters())
    model = make_model(settings, 19, on_meta=True)
    taken: dict[int, torch.Tensor] = {}

    def take(parameters: list[torch.nn.Parameter]) -> None:
        here = {id(each) for each in model.parameters() if each.device == CPU and each.numel()}
        assert here == {id(each) for each in parameters}
        for each in parameters:
            taken[id(each)] = each.detach().clone()
            each.data = torch.empty(0)

    materialise_by_unit(model, settings, CPU, take)
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    named = dict(model.named_parameters())
    assert list(named) == list(expected)
    for name, parameter in named.items():
        assert torch.equal(taken[id(parameter)], expected[name]), name


@pytest.mark.parametrize("name", NAMES)
def test_buffers_are_those_of_transformers(tmp_path: Path, name: str) -> None:
    settings = settings_of(tmp_path, name, init=str(tmp_path))
    ours = dict(make_model(settings, 19).named_buffers())
    theirs = AutoModelForCausalLM.from_config(config_of(name, tied=True, vocabulary=19))
    for key, value in theirs.named_buffers():
        assert torch.equal(ours[key], value), key


def test_the_seed_decides(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "llama", init=str(tmp_path))
    one = make_model(settings, 19)
    other = make_model(Settings(**{**SETTINGS, "init": str(tmp_path), "seed": 1}), 19)
    assert not torch.equal(one.lm_head.weight, other.lm_head.weight)
