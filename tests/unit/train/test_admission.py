"""What a run would be refused for is refused by --dry-run and --emit, in the same words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llmops_cli.core.errors import UsageError
from llmops_cli.core.progress import Silent
from llmops_cli.train.emit import emit
from llmops_cli.train.launch import Launch
from llmops_cli.train.planned import dry_run_of, planned, refuse_unfit
from llmops_cli.train.recipe import TrainRecipe
from tests.unit.sizing.configs import TINY

ASKED = {"accumulate": "flag"}
CASES = {
    "no data": {"data": ["absent.jsonl"]},
    "no validation": {"validation": ["absent.jsonl"]},
    "a weight": {"data": ["demo=nan"]},
    "no tokenizer": {"tokenizer": "absent"},
    "no template": {"chat_template": "absent.jinja"},
    "ddp offloaded": {"strategy": "ddp", "offload": "parameters"},
    "ddp cut": {"strategy": "ddp", "tensor_parallel": 2},
    "pp in shards": {"strategy": "pp", "shard_size": 2},
    "single of two": {"strategy": "single"},
    "one copy": {"strategy": "hsdp"},
    "more stages than blocks": {"strategy": "pp", "pipeline_schedule": "interleaved"},
    "Muon under ZeRO": {"strategy": "zero3", "optimizer": "muon"},
    "odd parts": {"accumulate": 7},
    "odd parts of a strategy": {"accumulate": 7, "strategy": "ddp"},
    "one row": {"batch_size": 1, "strategy": "ddp"},
    "a node that is not there": {"node_rank": 3},
}


def recipe_of(tmp_path: Path, case: dict[str, Any]) -> TrainRecipe:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**TINY["llama"], "num_hidden_layers": 2}))
    fields: dict[str, Any] = {
        "init": str(path),
        "data": ["demo"],
        "nproc": 2,
        "accumulate": 1,
        "optimizer": "adamw",
        "sequence_length": 64,
    }
    return TrainRecipe(**{**fields, **case})


def dry(recipe: TrainRecipe) -> None:
    refuse_unfit(dry_run_of(recipe, ASKED))


def emitted(recipe: TrainRecipe) -> None:
    emit("torchrun", recipe, ASKED, argv=["train"], output=Path("a"), progress=Silent())


def run(recipe: TrainRecipe) -> None:
    planned(recipe, ASKED, Launch(world_size=2, ranks_here=2), model=None, progress=Silent())


@pytest.mark.parametrize("way", [dry, emitted])
@pytest.mark.parametrize("name", CASES)
def test_a_plan_refuses_what_a_run_would_be_refused_for(
    tmp_path: Path, name: str, way: Any
) -> None:
    recipe = recipe_of(tmp_path, CASES[name])
    with pytest.raises(UsageError) as caught:
        way(recipe)
    assert caught.value.hint
    if recipe.node_rank is None:
        with pytest.raises(UsageError) as theirs:
            run(recipe)
        assert theirs.value.message == caught.value.message


def test_what_is_right_is_taken_by_all(tmp_path: Path) -> None:
    for case in ({}, {"strategy": "fsdp"}, {"strategy": "pp"}, {"strategy": "tp"}):
        recipe = recipe_of(tmp_path, case)
        dry(recipe)
        emitted(recipe)
        run(recipe)


def test_parts_that_do_not_divide_hear_of_the_nearest_that_do(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        dry(recipe_of(tmp_path, {"accumulate": 7}))
    assert caught.value.hint == "--accumulate 8, or --batch-size 42"


def test_data_of_other_machines_need_not_be_here(tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path, {"data": ["absent.jsonl"], "gpu": "h100", "nproc": 8})
    assert any("absent.jsonl" in note for note in dry_run_of(recipe, {}).notes)
    assert emit("k8s", recipe, {}, argv=["train"], output=Path("a"), progress=Silent())


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"m.gguf": b"GGUF"}, "only GGUF weights"),
        ({"config.json": b"{}"}, "no weights to train further"),
        ({"adapter_config.json": b"{}", "adapter_model.safetensors": b""}, "a LoRA adapter"),
        (
            {
                "model.safetensors.index.json": b'{"weight_map": {"a": "model-2.safetensors"}}',
                "model-1.safetensors": b"",
            },
            "lacks model-2.safetensors",
        ),
    ],
)
def test_a_folder_that_cannot_be_trained_says_why(
    tmp_path: Path, files: dict[str, bytes], said: str
) -> None:
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=said) as caught:
        dry_run_of(TrainRecipe(model=str(tmp_path), data=["demo"]), {})
    assert caught.value.hint


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.gguf", b"GGUF\x03", "is a GGUF file"),
        ("config.json", b"{}", "has no weights"),
        ("a.bin", b"\x80\x04", "is a file"),
    ],
)
def test_a_file_is_no_model_that_is_trained(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UsageError, match=said):
        dry_run_of(TrainRecipe(model=str(path), data=["demo"]), {})


def test_a_batch_that_does_not_fit_is_taken_in_more_parts_unless_asked(tmp_path: Path) -> None:
    wide = {"batch_size": 65536, "sequence_length": 128, "gpu": "rtx-4090", "nproc": 1}
    recipe = recipe_of(tmp_path, wide)
    assert dry_run_of(recipe, ASKED).chosen is None
    found = dry_run_of(recipe, {"accumulate": "default"})
    assert found.chosen == "single"
    assert any(f"--accumulate {found.work.accumulate}" in note for note in found.notes)
