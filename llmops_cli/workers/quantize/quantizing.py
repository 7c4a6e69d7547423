"""What every quantizer of Hugging Face folders needs: model, calibration and a whole output."""

import os
import shutil
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from _shared.calibration import Calibration, calibration_of
from _shared.protocol import Events, JobError, Json, peak_rss_bytes
from hf.dequantized import as_plain, dequantizing, method_of
from hf.outline import outline_of, require_whole
from quantize.bars import show_progress
from quantize.counted import quantized_weights, require_some
from quantize.generated import generated
from quantize.plan import KV_CACHE, plan_of

SIDE_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "chat_template.jinja",
    "chat_template.json",
    "vocab.json",
    "merges.txt",
    "added_tokens.json",
    "generation_config.json",
)
SIDE_FOLDER = "additional_chat_templates"
"""Where Transformers keeps chat templates with names."""
MAPPED = ("awq", "smoothquant", "spinquant")
"""Methods that scale or rotate one layer and its followers together."""
LIBRARY_FAILURES = (
    ValueError,
    NotImplementedError,
    AttributeError,
    KeyError,
    TypeError,
    RuntimeError,
    ImportError,
    AssertionError,
)
"""What libraries raise for a model that they cannot quantize."""


class QuantizeJob:
    """One job: `model`, `tokenizer` and `calibration` are made when first asked for.

    `outline` is the model without weights, `plan` which of its matrices are to be quantized, and
    `notes` what the user should know of how they were. Raises: JobError for weights that do not fit
    the model, or that the library cannot quantize.

    `readable` is the source as this Transformers reads it, where that is another folder.
    """

    def __init__(self, job: Json, *, readable: Path | None = None) -> None:
        self.job = job
        self.source = Path(job["model"])
        self.readable = readable or self.source
        self.output = Path(job["output"])
        self._calibration: Calibration | None = None
        self._model: Any = None
        self.notes: list[str] = []
        outline = outline_of(self.readable)
        require_whole(outline, self.source)
        self.outline: Any = outline.model
        self.plan = plan_of(self.outline, job)
        torch.set_num_threads(job["threads"])
        torch.manual_seed(job["seed"])
        self.tokenizer: Any = AutoTokenizer.from_pretrained(self.readable, trust_remote_code=False)

    @property
    def model(self) -> Any:
        """In the job's `compute` type: on a CPU float32 is several times faster than bfloat16."""
        if self._model is None:
            config = AutoConfig.from_pretrained(self.readable, trust_remote_code=False)
            model: Any = AutoModelForCausalLM.from_pretrained(
                self.readable,
                trust_remote_code=False,
                **{dtype_option(): self.job["compute"]},
                **dequantizing(config),
            )
            if method_of(config) is not None:
                as_plain(model, self.output)
            self._model = model.eval()
            if torch.cuda.is_available():
                self._model.to("cuda")
        return self._model

    @property
    def calibration(self) -> Calibration:
        if self._calibration is None:
            self._calibration = self._make_calibration()
        return self._calibration

    def _make_calibration(self) -> Calibration:
        shape = {name: self.job[name] for name in ("samples", "seq_len", "seed")}
        if self.job["calibration"] == "generated":
            return generated(self.model, self.tokenizer, **shape)
        path = Path(self.job["calibration"])
        return calibration_of(self.tokenizer, path, **shape)

    def calibration_facts(self) -> Json | None:
        """None where nothing was calibrated."""
        if self._calibration is None:
            return None
        return self._calibration.facts()

    def as_stored(self) -> None:
        """All but the weights that are yet to be packed takes the source's type on disk."""
        config = AutoConfig.from_pretrained(self.source, trust_remote_code=False)
        stored = config.dtype
        if stored is None or self.job["compute"] == "auto":
            return
        self.model.config.dtype = stored
        for module in self.model.modules():
            for name, tensor in own_tensors(module):
                if is_stored_plain(module, name, tensor):
                    tensor.data = tensor.data.to(stored)

    def finish(self) -> None:
        """Tokenizer files as they were, and everything on disk."""
        for name in SIDE_FILES:
            side_file = self.source / name
            if side_file.is_file():
                shutil.copy(side_file, self.output / name)
        templates = self.source / SIDE_FOLDER
        if templates.is_dir():
            shutil.copytree(templates, self.output / SIDE_FOLDER, dirs_exist_ok=True)
        for path in self.output.rglob("*"):
            if path.is_file():
                with path.open("rb") as file:
                    os.fsync(file.fileno())


def dtype_option() -> str:
    """What `from_pretrained` calls the type: release 4 knows no `dtype`."""
    is_release4 = transformers.__version__.startswith("4.")
    return "torch_dtype" if is_release4 else "dtype"


def own_tensors(module: Any) -> list[tuple[str, torch.Tensor]]:
    """Parameters and buffers of a module without those of its parts."""
    parameters = module.named_parameters(recurse=False)
    buffers = module.named_buffers(recurse=False)
    return [*parameters, *buffers]


def is_stored_plain(
    module: Any,
    name: str,
    tensor: torch.Tensor,
) -> bool:
    """Whether a tensor is saved as floating point; rotary frequencies stay as they are."""
    if not tensor.is_floating_point() or "inv_freq" in name:
        return False
    scheme = getattr(module, "quantization_scheme", None)
    is_packed = getattr(scheme, "weights", None) is not None
    return not (is_packed and name == "weight")


Apply = Callable[[QuantizeJob], None]
"""Writes the quantized folder with one library."""


def quantize_with(
    apply: Apply,
    job: Json,
    events: Events,
    *,
    library: str,
    readable: Path | None = None,
) -> Json:
    """Runs `apply`, which writes the folder job["output"], and says what it cost."""
    show_progress(events)
    work = QuantizeJob(job, readable=readable)
    start_s = time.process_time()
    wall_start_s = time.monotonic()
    _apply(apply, work, library)
    work.finish()
    count = quantized_weights(work.output, work.plan, work.outline)
    if job["method"] != KV_CACHE:
        require_some(count, work.plan, library)
    return {
        "cpu_s": time.process_time() - start_s,
        "wall_s": time.monotonic() - wall_start_s,
        "peak_rss_bytes": peak_rss_bytes(),
        "calibration": work.calibration_facts(),
        "quantized_weights": count,
        "planned_weights": work.plan.weights,
        "parameters": sum(parameter.numel() for parameter in work.outline.parameters()),
        "notes": work.notes,
    }


def library_failure(
    library: str,
    method: str,
    error: Exception,
) -> JobError:
    """What the library raised in one line, with a way on where the method asks for a mapping."""
    message = f"{library} failed: {type(error).__name__}: {str(error)[:300]}"
    hint = None
    if method in MAPPED:
        hint = "--method gptq needs to know nothing of how this architecture's layers follow"
    return JobError("EngineFailed", message, hint)


def _apply(
    apply: Apply,
    work: QuantizeJob,
    library: str,
) -> None:
    """Raises: JobError for whatever the library raises; the log has it whole."""
    try:
        apply(work)
    except JobError:
        raise
    except torch.OutOfMemoryError as error:
        message = f"{library} ran out of GPU memory"
        raise JobError("EngineFailed", message, "fewer --samples, shorter --seq-len") from error
    except LIBRARY_FAILURES as error:
        traceback.print_exc()
        raise library_failure(library, work.job["method"], error) from error
