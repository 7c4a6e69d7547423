"""DeepSpeed's engine as ZeRO needs it (arXiv:1910.02054), and all of its inside that we touch.

Written for DeepSpeed 0.19. Nothing is compiled: the optimizer is torch's, and the extension by
which processes of one CPU share memory is left out.
"""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter, ParameterList

from _shared.protocol import JobError
from train.materialise import materialise_by_unit
from train.optimizers import decay_groups, pieces_of
from train.precision import DTYPES
from train.ranks import Ranks
from train.settings import Settings

MOST_BUCKET_ELEMENTS = 500_000_000
"""Of gradients that travel together: DeepSpeed's own number, which it allocates at once."""

MOMENTS = ("exp_avg", "exp_avg_sq")
"""What torch's AdamW keeps of each element."""

C10D = r"torch\.distributed\.c10d_logger"
"""Where torch says that DeepSpeed calls it by names of before."""


class ZeroEngine:
    """One step in the order in which the loop has it: gradients, their norm, an update or none."""

    def __init__(self, engine: Any, stage: int) -> None:
        self.engine = engine
        self.optimizer = engine.optimizer
        self._stage = stage
        self._peaks = [(group, group["lr"]) for group in self.optimizer.param_groups]

    def backward(self, loss: Tensor, *, is_last: bool) -> None:
        """Gradients are averaged over ranks behind the step's last micro-batch."""
        self.engine.set_gradient_accumulation_boundary(is_last)
        self.engine.backward(loss, scale_wrt_gas=False)

    def norm(self) -> Tensor:
        if self._stage < 3:
            found: Tensor = self.optimizer.scaled_global_norm()
            return found
        groups = self.optimizer._get_norm_groups()  # noqa: SLF001  it has no other name
        squares = [group.double() ** 2 for group in groups]
        return torch.stack(squares).sum().sqrt().float()

    def step(self, factor: float, *, most: float, norm: Tensor) -> None:
        """`norm` is what `norm` has found; gradients are scaled to at most `most`."""
        for group, peak in self._peaks:
            group["lr"] = peak * factor
        self.optimizer.clip_grad = most
        with self._norm_is(norm):
            self.engine.step()

    def drop(self) -> None:
        """DeepSpeed leaves a step out, and forgets its gradients, if their norm is no number."""
        with self._norm_is(torch.tensor(float("nan"), device=self.engine.device)):
            self.engine.step()

    @contextmanager
    def _norm_is(self, norm: Tensor) -> Iterator[None]:
        name = "scaled_global_norm" if self._stage < 3 else "_get_norm_groups"
        answer = norm if self._stage < 3 else [norm]
        setattr(self.optimizer, name, lambda: answer)
        try:
            yield
        finally:
            delattr(self.optimizer, name)

    def begin(self) -> Tensor:
        """The count of steps; what the optimizer keeps is there then, as before its first step."""
        counts = [self._state_of(piece)["step"] for piece in self._pieces()]
        if self._stage < 3:
            self.optimizer._lazy_init_hp_params_optimizer_state()  # noqa: SLF001
        return counts[0]

    def _pieces(self) -> list[Tensor]:
        if self._stage < 3:
            return list(self.optimizer.single_partition_of_fp32_groups)
        return list(self.optimizer.fp32_partitioned_groups_flat)

    def _state_of(self, piece: Tensor) -> dict[str, Tensor]:
        """As torch's AdamW begins it, before its first step."""
        state: dict[str, Tensor] = self.optimizer.optimizer.state[piece]
        if not state:
            state["step"] = torch.tensor(0.0)
            state.update({key: torch.zeros_like(piece) for key in MOMENTS})
        return state

    def whole(self, weight: Tensor, key: str | None = None) -> Tensor:
        """A weight in f32, or a moment of it, from the pieces of all ranks, which all must call."""
        api = import_module("deepspeed.utils")
        if key is None:
            found: Tensor = api.safe_get_full_fp32_param(weight)
        else:
            found = api.safe_get_full_optimizer_state(weight, key)
        return found

    def fill(self, weight: Any, whole: Tensor, key: str | None = None) -> None:
        """This rank's piece of a weight, or of a moment of it."""
        if self._stage == 3:
            asked = {"release_swap_buffers": False, "optim_state_key": key}
            piece, _ = self.optimizer._get_fp32_opt_state_partition(weight, **asked)  # noqa: SLF001
            start = piece.numel() * weight.ds_zero_partition_rank
        elif weight._hp_mapping is None:  # noqa: SLF001  other ranks have all of it
            return
        else:
            mapping = weight._hp_mapping  # noqa: SLF001
            piece = mapping.get_hp_fragment(key)
            start = mapping.lp_fragment_address.start
        own = whole.flatten()[start : start + piece.numel()]  # the last rank's piece is padded
        piece[: own.numel()].copy_(own)

    def go_on(self, steps: Tensor) -> None:
        """From what was filled in, as behind so many steps."""
        for piece in self._pieces():
            self._state_of(piece)["step"].copy_(steps)
        self._spread_weights()

    def _spread_weights(self) -> None:
        """From the pieces in f32 to the weights that the model computes with."""
        if self._stage < 3:
            self.optimizer.update_lp_params()
            return
        self.optimizer._partition_all_parameters()  # noqa: SLF001
        for number in range(len(self._pieces())):
            self.optimizer._reassign_or_swap_out_partitioned_parameters(number)  # noqa: SLF001


def make_engine(model: Any, settings: Settings, ranks: Ranks, stage: int) -> ZeroEngine:
    """Raises: JobError if what DeepSpeed made is not what was asked for."""
    if ranks.device.type == "cpu":
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    deepspeed = _deepspeed()
    # By its name: in deepspeed.comm, `torch` is torch itself.
    communication = import_module("deepspeed.comm.torch")
    communication.build_shm_op = lambda: None  # type: ignore[attr-defined]
    deepspeed.utils.logger.setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=FutureWarning, module=C10D)
    deepspeed.init_distributed()
    config = config_of(model, settings, stage)
    if stage == 3:
        _cut_as_made(model, settings, ranks, config)
    optimizer = torch.optim.AdamW(
        decay_groups(pieces_of(model), settings),
        lr=settings.learning_rate,
        betas=(settings.beta1, settings.beta2),
    )
    engine, *_ = deepspeed.initialize(model=model, optimizer=optimizer, config=config)
    _check(engine, config, stage)
    return ZeroEngine(engine, stage)


def _cut_as_made(model: Any, settings: Settings, ranks: Ranks, config: dict[str, Any]) -> None:
    """No rank has more of the model at once than its own pieces and one block."""
    zero: Any = _deepspeed().zero

    def cut(parameters: list[Parameter]) -> None:
        zero.Init(ParameterList(parameters), config_dict_or_path=config, dtype=torch.float32)

    materialise_by_unit(model, settings, ranks.device, cut)


def _deepspeed() -> Any:
    """Raises: JobError where it is not installed."""
    try:
        import deepspeed
    except ImportError as error:
        message = f"ZeRO needs DeepSpeed, which cannot be imported: {error}"
        raise JobError("EnvironmentMissing", message, "llmops env create deepspeed") from error
    return deepspeed


def config_of(model: Any, settings: Settings, stage: int) -> dict[str, Any]:
    """Losses are divided by us; so DeepSpeed counts micro-batches and divides by nothing."""
    elements = sum(parameter.numel() for parameter in model.parameters())
    bucket_elements = min(elements, MOST_BUCKET_ELEMENTS)
    zero: dict[str, Any] = {
        "stage": stage,
        "reduce_bucket_size": bucket_elements,
        "allgather_bucket_size": bucket_elements,
    }
    in_main_memory = {"device": "cpu", "pin_memory": torch.cuda.is_available()}
    if settings.offload != "none":
        zero["offload_optimizer"] = in_main_memory
    if settings.offload == "parameters":
        zero["offload_param"] = in_main_memory
    if stage == 3:
        zero["stage3_param_persistence_threshold"] = 0
    config: dict[str, Any] = {
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": settings.accumulate,
        "gradient_clipping": settings.clip_norm,
        "zero_optimization": zero,
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
    }
    if settings.precision != "f32":
        config["torch_autocast"] = {
            "enabled": True,
            "dtype": str(DTYPES[settings.precision]).removeprefix("torch."),
            "lower_precision_safe_modules": [],
        }
    return config


def _check(engine: Any, config: dict[str, Any], stage: int) -> None:
    """DeepSpeed falls back without a word where it cannot do what it was told."""
    asked = config["zero_optimization"]
    offloads = engine.zero_use_cpu_optimizer()
    found = {
        "stage": (engine.zero_optimization_stage(), stage),
        "offload of the optimizer": (bool(offloads), "offload_optimizer" in asked),
        "autocast": (engine.torch_autocast_enabled(), "torch_autocast" in config),
    }
    for name, (in_force, wished) in found.items():
        if in_force != wished:
            message = f"DeepSpeed has {name} {in_force} in force, and {wished} was asked for"
            raise JobError("EngineFailed", message, "--strategy fsdp")
