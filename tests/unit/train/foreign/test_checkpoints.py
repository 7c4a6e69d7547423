"""A folder that another trainer left is refused by the trainer's name; a model never is."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmops_cli.core.errors import UsageError
from llmops_cli.train.foreign.checkpoints import refuse_checkpoint

FILES = {
    "latest_checkpointed_iteration.txt": "Megatron-LM",
    "iter_0000100/mp_rank_00/model_optim_rng.pt": "Megatron-LM",
    "mp_rank_00/model_optim_rng.pt": "Megatron-LM",
    "global_step10/mp_rank_00_model_states.pt": "DeepSpeed",
    "__0_0.distcp": "torch.distributed.checkpoint",
}


@pytest.mark.parametrize("name", FILES)
def test_it_is_refused_by_name(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    with pytest.raises(UsageError, match=f"is a checkpoint of {FILES[name]}"):
        refuse_checkpoint(tmp_path)


def test_a_model_beside_it_is_taken(tmp_path: Path) -> None:
    (tmp_path / "latest_checkpointed_iteration.txt").touch()
    (tmp_path / "config.json").write_text("{}")
    refuse_checkpoint(tmp_path)
