"""Other trainers' files as options of ours: DeepSpeed's JSON, accelerate's YAML, checkpoints."""

from llmops_cli.train.foreign.accelerate import read_accelerate
from llmops_cli.train.foreign.checkpoints import refuse_checkpoint
from llmops_cli.train.foreign.deepspeed import read_deepspeed
from llmops_cli.train.foreign.rules import Foreign

__all__ = ["Foreign", "read_accelerate", "read_deepspeed", "refuse_checkpoint"]
