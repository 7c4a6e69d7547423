"""Hugging Face folder -> GGUF by llama.cpp's own converter, for what ours does not write.

Needs torch and transformers. The converter's source is the job's: llmops_cli/models/converter.py
says where it comes from.
"""

import copy
import importlib
import json
import logging
import sys
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import torch

from _shared.protocol import Events, JobError, Json, is_full_disk, peak_rss_bytes, run_worker
from _shared.safetensors import METADATA, read_header
from llamacpp.limits import refuse_beyond_limits
from llamacpp.mended import (
    fill_shared_caches,
    keep_wide,
    leave_out_missing_drafts,
    name_ends_of_answers,
    name_splits_by_structure,
    read_pieces_of_tokenizer_json,
    repeat_tied_head,
    run_no_code_of_the_folder,
    say_whether_bos_is_added,
    take_template_of_its_file,
    tell_writing,
)
from llamacpp.mended_keys import (
    cut_at_window,
    keep_rotary_use,
    keep_sizes,
    require_rope_factors,
    stack_head_norms,
)
from llamacpp.published import add_missing_fields
from llamacpp.scaled_rope import tell_scaled_rope
from llamacpp.sentence import add_own_keys, sentence_model_of
from llamacpp.written import figures_of, tensors_beyond_f16, wide_without_numbers

FILE_TYPES = {
    "F16": "MOSTLY_F16",
    "BF16": "MOSTLY_BF16",
    "F32": "ALL_F32",
}
SERVED_AS_IT_IS = "--backend transformers may serve it as it is"

# llama.cpp's scripts, and a class of theirs, are no package of types.
Scripts = Any
Converter = Any


class Told(NamedTuple):
    """`left_out`: what of the folder is not in the file, by beginnings of tensors' names."""

    left_out: dict[str, int]
    notices: list[Json]


def work(job: Json, events: Events) -> Json:
    start_s = time.process_time()
    logging.basicConfig(level=logging.INFO)
    folder = Path(job["model"])
    output = Path(job["output"])
    conversion = import_converter(Path(job["source"]))
    fields = conversion.ModelBase.load_hparams(folder, False)
    architecture = known_architecture(conversion, fields)
    tell_writing(events)
    kind = conversion.get_model_class(architecture)
    try:
        refuse_beyond_limits(architecture, {**fields, **(fields.get("text_config") or {})})
        if reads_files_only(kind):
            fields = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        add_missing_fields(fields)
        with torch.inference_mode():
            told = write_widening(
                kind,
                folder=folder,
                output=output,
                scheme=job["scheme"],
                fields=fields,
                architecture=architecture,
                beyond_window=job.get("beyond_window", False),
            )
    except JobError:
        raise
    except Exception as error:
        if is_full_disk(error):
            raise
        raise refusal(architecture, error) from error
    return {
        **figures_of(output),
        "left_out": told.left_out,
        "notices": told.notices,
        "cpu_s": time.process_time() - start_s,
        "peak_rss_bytes": peak_rss_bytes(),
    }


def import_converter(source: Path) -> Scripts:
    """Its modules, over the copy of gguf that lies beside them."""
    sys.path.insert(0, str(source))
    sys.path.insert(0, str(source / "gguf-py"))
    run_no_code_of_the_folder()
    take_template_of_its_file(importlib.import_module("gguf"))
    return importlib.import_module("conversion")


def known_architecture(conversion: Scripts, fields: Json) -> str:
    """As the converter calls it. Raises: JobError for one that llama.cpp does not compute."""
    try:
        named = str(conversion.get_model_architecture(fields, conversion.ModelType.TEXT))
    except ValueError:
        raise JobError("UsageError", "config.json names no architecture") from None
    if named in conversion.TEXT_MODEL_MAP:
        return named
    for known in conversion.TEXT_MODEL_MAP:
        if known.lower() == named.lower():  # MPT and Phi-MoE have had other capitals
            return str(known)
    message = f"llama.cpp has no architecture for '{named}', so there is no GGUF file of it"
    raise JobError("UsageError", message, SERVED_AS_IT_IS)


def reads_files_only(kind: Converter) -> bool:
    """Mamba's classes take config.json as it is: Transformers would add another size's defaults."""
    return any(base.__name__ in ("MambaModel", "Mamba2Model") for base in kind.__mro__)


def refusal(architecture: str, error: Exception) -> JobError:
    """Its scripts raise errors of any class for a model that they cannot write."""
    reason = str(error).strip() or "no reason given"
    if isinstance(error, KeyError):
        reason = f"there is no {reason}"
    if isinstance(error, AssertionError):
        reason = traceback.extract_tb(error.__traceback__)[-1].line or reason
    message = (
        f"llama.cpp's converter does not write this {architecture}: "
        f"{reason.splitlines()[0]} ({type(error).__name__})"
    )
    return JobError("UsageError", message, SERVED_AS_IT_IS)


def write_widening(
    kind: Converter,
    *,
    folder: Path,
    output: Path,
    scheme: str,
    fields: Json,
    architecture: str,
    beyond_window: bool,
) -> Told:
    """Writes the file, again with one more tensor in F32 until every value fits.

    `kind`: the converter's class for the architecture.
    """
    gguf = importlib.import_module("gguf")
    file_type = gguf.LlamaFileType[FILE_TYPES[scheme]]
    sentence = sentence_model_of(folder)
    names = names_in(folder)
    leave_out_missing_drafts(kind, names)
    wide: set[str] = set()
    while True:
        model = kind(folder, file_type, output, hparams=copy.deepcopy(fields))
        model = getattr(model, "impl", model)  # a class may stand before the one that writes
        keep_wide(model, wide)
        keep_sizes(model)
        keep_rotary_use(model)
        stack_head_norms(model)
        require_rope_factors(model)
        fill_shared_caches(model)
        repeat_tied_head(model)
        name_splits_by_structure(model)
        read_pieces_of_tokenizer_json(model)
        say_whether_bos_is_added(model)
        notices: list[Json] = []
        name_ends_of_answers(model, notices)
        tell_scaled_rope(model, notices)
        cut_at_window(model, notices, architecture=architecture, beyond_window=beyond_window)
        add_own_keys(model.gguf_writer, sentence)
        left_out = left_out_of(kind, names)
        model.write()
        beyond = tensors_beyond_f16(output)
        if not beyond:
            require_numbers(output)
            return Told(left_out, notices)
        if wide.issuperset(beyond):
            message = f"{beyond[0]} has values that F16 cannot hold, and llama.cpp keeps it in F16"
            raise JobError("UsageError", message, "--scheme BF16 or F32")
        wide.update(beyond)
        output.unlink()


def require_numbers(output: Path) -> None:
    """Raises: JobError for a file whose wide tensors have values that are no numbers.

    Those of F16 were looked through before: a large file is read once.
    """
    broken = wide_without_numbers(output)
    if broken:
        message = f"tensor {broken[0]} has NaN or infinite values"
        raise JobError("UsageError", message, "the checkpoint is broken")


def left_out_of(kind: Converter, names: set[str]) -> dict[str, int]:
    """Tensors of the folder that no part of the text model has: a vision tower's, for example."""
    found: Counter[str] = Counter()
    for name in sorted(names):
        if kind.filter_tensors((name, torch.Tensor)) is None:
            found[beginning(name)] += 1
    return dict(found)


def names_in(folder: Path) -> set[str]:
    """Of the tensors of its safetensors files."""
    names: set[str] = set()
    for path in folder.glob("*.safetensors"):
        header, _ = read_header(path)
        names.update(header)
    return names - {METADATA}


def beginning(name: str) -> str:
    """As much of a tensor's name as says what it is a part of: up to the first number."""
    parts = []
    for part in name.split("."):
        if part.isdigit():
            break
        parts.append(part)
    return ".".join(parts[:3])


if __name__ == "__main__":
    run_worker(work)
