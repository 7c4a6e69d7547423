"""What every quantizer of Hugging Face folders needs: the model, its calibration, progress, a whole
output folder.
"""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import tqdm
import tqdm.auto
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from _shared.calibration import Calibration, calibration_of, generated
from _shared.protocol import Events, JobError, peak_rss_bytes

SIDE_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "chat_template.jinja",
    "vocab.json",
    "merges.txt",
    "added_tokens.json",
)


def show_progress(events: Events) -> None:
    """The bars that a library draws become events; call it before importing that library."""

    class Bar(tqdm.std.tqdm):  # type: ignore[misc, type-arg]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **{**kwargs, "file": open(os.devnull, "w")})  # noqa: SIM115, PTH123

        def refresh(self, *_args: Any, **_kwargs: Any) -> bool:
            if self.total:
                events.progress(
                    str(self.desc or "quantizing").strip(" :")[:60],
                    float(self.n),
                    float(self.total),
                )
            return True

        def update(self, n: float | None = 1) -> bool | None:
            done = super().update(n)
            self.refresh()
            return done

    for module in (tqdm, tqdm.auto, tqdm.std):
        module.tqdm = Bar


class Quantizing:
    """One job: `model`, `tokenizer` and `calibration` are made when first asked for."""

    def __init__(self, job: dict[str, Any], events: Events) -> None:
        self.job = job
        self.events = events
        self.source = Path(job["model"])
        self.output = Path(job["output"])
        self._calibration: Calibration | None = None
        self._model: Any = None
        torch.set_num_threads(job["threads"])
        torch.manual_seed(job["seed"])
        self.tokenizer: Any = AutoTokenizer.from_pretrained(self.source, trust_remote_code=False)

    @property
    def model(self) -> Any:
        """In the job's `compute` type: on a CPU float32 is several times faster than bfloat16."""
        if self._model is None:
            self._model = AutoModelForCausalLM.from_pretrained(
                self.source, dtype=self.job["compute"], trust_remote_code=False
            ).eval()
            if torch.cuda.is_available():
                self._model.to("cuda")
        return self._model

    def as_stored(self) -> None:
        """All but the weights that are yet to be packed takes the type that the source has on
        disk.
        """
        stored = AutoConfig.from_pretrained(self.source, trust_remote_code=False).dtype
        if stored is None or self.job["compute"] == "auto":
            return
        self.model.config.dtype = stored
        for module in self.model.modules():
            packed = (
                getattr(getattr(module, "quantization_scheme", None), "weights", None) is not None
            )
            for name, tensor in [
                *module.named_parameters(recurse=False),
                *module.named_buffers(recurse=False),
            ]:
                if (
                    tensor.is_floating_point()
                    and not (packed and name == "weight")
                    and "inv_freq" not in name
                ):
                    tensor.data = tensor.data.to(stored)

    @property
    def calibration(self) -> Calibration:
        if self._calibration is None:
            shape = {
                "samples": self.job["samples"],
                "seq_len": self.job["seq_len"],
                "seed": self.job["seed"],
            }
            if self.job["calibration"] == "generated":
                self._calibration = generated(self.model, self.tokenizer, **shape)
            else:
                self._calibration = calibration_of(
                    self.tokenizer, Path(self.job["calibration"]), **shape
                )
        return self._calibration

    def finish(self) -> None:
        """Tokenizer files as they were, and everything on disk."""
        for name in SIDE_FILES:
            if (self.source / name).is_file():
                shutil.copy(self.source / name, self.output / name)
        for path in self.output.rglob("*"):
            if path.is_file():
                with path.open("rb") as file:
                    os.fsync(file.fileno())


def quantize_with(
    apply: Callable[[Quantizing], None], job: dict[str, Any], events: Events, *, library: str
) -> dict[str, Any]:
    """Runs `apply`, which writes the folder job["output"], and says what it cost."""
    work = Quantizing(job, events)
    start = time.process_time()
    wall = time.monotonic()
    try:
        apply(work)
    except JobError:
        raise
    except torch.OutOfMemoryError as error:
        raise JobError(
            "EngineFailed", f"{library} ran out of GPU memory", "fewer --samples, shorter --seq-len"
        ) from error
    except (
        ValueError,
        NotImplementedError,
        AttributeError,
        KeyError,
        TypeError,
        RuntimeError,
        ImportError,
    ) as error:
        import traceback

        traceback.print_exc()  # the log has it whole
        raise JobError(
            "EngineFailed", f"{library} failed: {type(error).__name__}: {str(error)[:300]}"
        ) from error
    work.finish()
    return {
        "cpu_s": time.process_time() - start,
        "wall_s": time.monotonic() - wall,
        "peak_rss_bytes": peak_rss_bytes(),
        "calibration": work._calibration.facts() if work._calibration else None,
    }
