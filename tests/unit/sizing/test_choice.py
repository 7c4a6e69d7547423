"""The rule: what fits, then fastest, then simplest; and what is said where nothing fits."""

from __future__ import annotations

import pytest

from llmops_cli.sizing.choice import Choice, asked_for, choose
from llmops_cli.sizing.devices import Cluster, device_named
from llmops_cli.sizing.families import architecture_of
from llmops_cli.sizing.layout import STRATEGIES, Degrees
from llmops_cli.sizing.options import Option, options_for
from llmops_cli.sizing.work import Work
from tests.unit.sizing.configs import LLAMA_3_8B, LLAMA_3_70B, TINY, Config


def _table(config: Config, cluster: Cluster, **work: object) -> tuple[Choice, dict[str, Option]]:
    architecture = architecture_of(config)
    wishes = {"sequence_length": 2048, "batch_size": 4 * cluster.devices, **work}
    asked = Work(**wishes)  # type: ignore[arg-type]
    degrees = Degrees()
    options = options_for(architecture, asked, cluster, degrees=degrees)
    choice = choose(architecture, asked, cluster, options=options, degrees=degrees)
    return choice, {option.strategy: option for option in options}


def _cluster(devices: int, gpu: str = "h100") -> Cluster:
    per_node = min(8, devices)
    return Cluster(device=device_named(gpu), nodes=devices // per_node, devices_per_node=per_node)


def test_one_device_is_single() -> None:
    choice, options = _table(TINY["llama"], _cluster(1))
    assert choice.option is not None
    assert choice.option.strategy == "single"
    assert options["fsdp"].refusal is not None


def test_a_small_model_is_copied_and_a_large_one_is_spread() -> None:
    small, _ = _table(TINY["llama"], _cluster(8))
    assert small.option is not None
    assert small.option.strategy == "ddp"
    large, options = _table(LLAMA_3_8B, _cluster(8), accumulate=4)
    assert large.option is not None
    assert large.option.strategy == "fsdp"
    assert not options["ddp"].fits
    assert large.reason.startswith("fsdp over 8: ")
    assert "128 GB on a device alone, 16 GB spread so" in large.reason


def test_what_is_chosen_fits_and_is_never_deepspeeds() -> None:
    for config in (TINY["llama"], LLAMA_3_8B, LLAMA_3_70B):
        for devices in (1, 2, 8, 32):
            choice, _ = _table(config, _cluster(devices), checkpointing="full")
            if choice.option is not None:
                assert choice.option.fits
                assert not choice.option.strategy.startswith("zero")


def test_where_nothing_fits_it_is_said_what_would() -> None:
    choice, options = _table(LLAMA_3_70B, _cluster(8))
    assert choice.option is None
    assert "nothing fits" in choice.reason
    advice = "; ".join(choice.advice)
    assert "32 devices instead of 8" in advice
    assert "--offload" in advice
    assert not any(option.fits for option in options.values())


def _named(strategy: str, config: Config, cluster: Cluster, **work: object) -> Choice:
    architecture = architecture_of(config)
    wishes = {"sequence_length": 2048, "batch_size": 4 * cluster.devices, **work}
    asked = Work(**wishes)  # type: ignore[arg-type]
    options = options_for(architecture, asked, cluster, degrees=Degrees())
    (option,) = (each for each in options if each.strategy == strategy)
    return asked_for(
        architecture, asked, cluster, option=option, options=options, degrees=Degrees()
    )


def test_a_named_strategy_that_does_not_fit_hears_of_one_that_does() -> None:
    choice = _named("ddp", LLAMA_3_8B, _cluster(8), accumulate=4)
    assert choice.option is None
    assert choice.reason.startswith("ddp over 8 does not fit: it needs ")
    assert choice.advice == ("--strategy fsdp",)


def test_a_named_strategy_is_first_helped_itself() -> None:
    choice = _named("fsdp", LLAMA_3_8B, _cluster(8), sequence_length=4096, batch_size=16)
    assert choice.option is None
    assert choice.advice[0] == "--strategy fsdp --accumulate 2"
    assert choice.advice[-1] in {"--strategy pp", "--strategy fsdp+pp"}


def test_a_named_strategy_that_is_impossible_hears_of_one_that_is() -> None:
    choice = _named("single", TINY["llama"], _cluster(8))
    assert choice.reason == "strategy 'single' is one process, and there are 8"
    assert choice.advice == ("--strategy ddp",)


def test_a_batch_that_does_not_divide_is_refused_in_words() -> None:
    _, options = _table(LLAMA_3_8B, _cluster(16), batch_size=8)
    refusal = options["fsdp"].refusal
    assert refusal is not None
    assert "8 rows does not divide into 16 shares" in refusal


@pytest.mark.parametrize("devices", [2, 8, 16])
def test_there_is_a_row_for_each_strategy(devices: int) -> None:
    _, options = _table(LLAMA_3_8B, _cluster(devices))
    assert tuple(options) == STRATEGIES


def test_what_would_be_faster_is_said_beside_the_choice() -> None:
    choice, options = _table(LLAMA_3_8B, _cluster(8), sequence_length=4096, batch_size=16)
    assert not options["fsdp"].fits
    assert choice.option is not None
    assert choice.option.strategy in {"pp", "fsdp+pp"}
    assert choice.advice[0].startswith("--strategy fsdp --accumulate 2: ")
