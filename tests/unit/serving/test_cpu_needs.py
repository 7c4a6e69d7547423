"""An engine without a kernel for the weights on this CPU is refused before it is started."""

import json
from pathlib import Path

import pytest

from llmops_cli.core.artifact import Artifact
from llmops_cli.core.errors import EnvironmentMissing
from llmops_cli.engines import load_engine
from llmops_cli.serving import cpu_needs

PACKED = {
    "quant_method": "compressed-tensors",
    "config_groups": {"group_0": {"weights": {"num_bits": 4, "type": "int", "group_size": 128}}},
}
WHOLE = {
    "quant_method": "compressed-tensors",
    "config_groups": {
        "group_0": {
            "weights": {"num_bits": 8, "type": "int"},
            "input_activations": {"num_bits": 8},
        }
    },
}
OLD = {"cpu_flags": ["avx", "avx2"], "gpus": []}
NEW = {"cpu_flags": ["avx", "avx2", "avx512f"], "gpus": []}
ARM = {"cpu_flags": ["neon", "asimd"], "gpus": []}
CARD = {"cpu_flags": ["avx", "avx2"], "gpus": [{"name": "A100"}]}


def refuses(
    config: dict[str, object],
    hardware: dict[str, object],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> bool:
    (folder / "config.json").write_text(json.dumps({"quantization_config": config}))
    monkeypatch.setattr(cpu_needs, "probe_hardware", lambda: hardware)
    artifact = Artifact(reference="m", format="compressed-tensors", path=str(folder))
    try:
        cpu_needs.require_cpu("vllm", load_engine("vllm").facts, artifact)
    except EnvironmentMissing as error:
        assert "W4A16" in str(error)
        return True
    return False


@pytest.mark.parametrize(
    ("config", "hardware", "is_refused"),
    [
        (PACKED, OLD, True),
        (PACKED, NEW, False),
        (PACKED, ARM, False),
        (PACKED, CARD, False),
        (WHOLE, OLD, False),
        ({}, OLD, False),
    ],
)
def test_four_bits_on_an_old_cpu_are_refused_and_nothing_else(
    config: dict[str, object],
    hardware: dict[str, object],
    is_refused: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert refuses(config, hardware, tmp_path, monkeypatch) is is_refused


def test_a_config_that_cannot_be_read_is_left_to_the_engine(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    artifact = Artifact(reference="m", format="awq", path=str(tmp_path))
    cpu_needs.require_cpu("vllm", load_engine("vllm").facts, artifact)
