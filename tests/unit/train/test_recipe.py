"""Defaults follow what is trained, and wishes that exclude one another are refused."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import get_type_hints

import pytest

from llmops_cli.core.errors import UsageError
from llmops_cli.core.fields import Flag
from llmops_cli.core.resolve import Resolved, resolve
from llmops_cli.train.checks import check
from llmops_cli.train.defaults import OF_A_CONFIGURATION, OF_A_MODEL, Values
from llmops_cli.train.launch import Launch
from llmops_cli.train.recipe import TrainRecipe
from llmops_cli.train.settings import settings_of

Fields = dict[str, object]


def resolved(**flags: object) -> Resolved[TrainRecipe]:
    return resolve(TrainRecipe, command="train", flags=flags)


def test_without_a_word_it_is_the_demo() -> None:
    assert resolved().recipe == TrainRecipe()


@pytest.mark.parametrize("values", [OF_A_CONFIGURATION, OF_A_MODEL])
def test_the_help_has_the_default_of_each_thing_that_is_trained(values: Values) -> None:
    hints = get_type_hints(TrainRecipe, include_extras=True)
    for name, value in values.items():
        if value is None:
            continue
        (flag,) = (each for each in hints[name].__metadata__ if isinstance(each, Flag))
        words = re.split(r"[;, ]+", str(flag.default))
        numbers = [float(word) for word in words if re.fullmatch(r"[\d.e-]*\d", word)]
        assert value in words or value in numbers, (name, value, flag.default)


def test_a_model_is_tuned_gently_and_once_through() -> None:
    recipe = resolved(model="llama", data=["a.jsonl"]).recipe
    assert (recipe.optimizer, recipe.learning_rate, recipe.schedule) == ("adamw", 2e-5, "cosine")
    assert (recipe.steps, recipe.epochs) == (None, 1.0)
    assert recipe.checkpoint_every > 0


def test_what_was_asked_for_stays() -> None:
    recipe = resolved(model="llama", data=["a.jsonl"], optimizer="muon", steps=7).recipe
    assert (recipe.optimizer, recipe.steps, recipe.epochs) == ("muon", 7, None)


def test_a_saved_run_is_settled_again() -> None:
    first = resolved(model="llama", data=["a.jsonl"], epochs=2.0)
    saved = {name: getattr(first.recipe, name) for name in TrainRecipe.__struct_fields__}
    defaults = [name for name, origin in first.origins.items() if origin == "default"]
    again = resolve(TrainRecipe, command="train", file=saved, saved_defaults=defaults)
    assert again.recipe == first.recipe


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"model": "a", "init": "b"}, "MODEL is trained further and --init begins from scratch"),
        ({"model": "a"}, "a needs data to be trained on"),
        ({"steps": 1, "epochs": 1.0}, "--steps and --epochs both say how long"),
        ({"strategy": "fsdpp"}, "--strategy 'fsdpp'"),
    ],
)
def test_contradictions_are_refused(flags: Fields, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        resolved(**flags)
    assert caught.value.hint


def test_another_trainers_file_is_below_our_flags(tmp_path: Path) -> None:
    path = tmp_path / "ds.json"
    path.write_text(json.dumps({"gradient_clipping": 0.5, "train_batch_size": 64}, indent=1))
    found = resolved(deepspeed=str(path), batch_size=16)
    assert found.recipe.clip_norm == 0.5
    assert found.origins["clip_norm"].endswith("ds.json:2")
    assert found.recipe.batch_size == 16


TWO = Launch(world_size=2, ranks_here=2)
FOUR = Launch(world_size=4, ranks_here=4)


@pytest.mark.parametrize(
    ("fields", "launch", "words"),
    [
        ({"strategy": "single"}, TWO, "'single' is one process, and there are 2"),
        ({"strategy": "ddp", "batch_size": 3}, TWO, "does not divide into 2 shares"),
        ({"strategy": "ddp", "batch_size": 4, "accumulate": 4}, TWO, "of 4 parts"),
        ({"strategy": "fsdp+tp", "tensor_parallel": 3}, FOUR, "does not divide the 4 processes"),
        ({"strategy": "ddp", "tensor_parallel": 2}, FOUR, "is for the strategies fsdp"),
        ({"strategy": "ddp", "offload": "optimizer"}, TWO, "is for sharded strategies"),
        ({"strategy": "ddp", "sequence_length": 4096}, TWO, "beyond the model's context"),
    ],
)
def test_impossible_divisions_are_refused(fields: Fields, launch: Launch, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        check(TrainRecipe(**fields), launch)  # type: ignore[arg-type]
    assert caught.value.hint


def test_ranks_that_share_rows_are_not_counted_twice() -> None:
    check(TrainRecipe(strategy="tp", batch_size=2, tensor_parallel=4), FOUR)
    check(TrainRecipe(strategy="fsdp+tp", batch_size=4, tensor_parallel=2), FOUR)


def test_epochs_become_steps_and_a_share_of_them_the_warm_up() -> None:
    recipe = resolved(model="m", data=["a"], batch_size=10, epochs=2.0).recipe
    settings = settings_of(recipe, TWO, model="/m", rows_per_epoch=505, cores=8, flops_per_token=0)
    assert settings["steps"] == 101
    assert settings["warmup_steps"] == 3


@pytest.mark.parametrize(
    ("flops_per_token", "asked", "threads"),
    [(0.0, None, 4), (6e9, None, 4), (9e6, None, 1), (9e6, 3, 3)],
    ids=["unknown", "large", "small", "asked"],
)
def test_a_small_model_has_one_thread_a_rank(
    flops_per_token: float, asked: int | None, threads: int
) -> None:
    recipe = resolved(model="m", data=["a"], batch_size=10, steps=1, threads=asked).recipe
    settings = settings_of(
        recipe, TWO, model="/m", rows_per_epoch=505, cores=8, flops_per_token=flops_per_token
    )
    assert settings["threads"] == threads
