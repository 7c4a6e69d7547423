"""Hugging Face folder -> GGUF by llama.cpp's own converter, for what ours does not write.

Needs torch and transformers. The converter's source is the job's: llmops_cli/models/converter.py
says where it comes from.
"""

import importlib
import logging
import sys
import time
from pathlib import Path
from typing import Any

import torch

from _shared.protocol import Events, JobError, Json, peak_rss_bytes, run_worker
from llamacpp.sentence import add_own_keys, sentence_model_of

FILE_TYPES = {
    "F16": "MOSTLY_F16",
    "BF16": "MOSTLY_BF16",
    "F32": "ALL_F32",
}
REFUSALS = (NotImplementedError, ValueError, KeyError, TypeError, FileNotFoundError)
"""What the converter raises for a model that it does not know."""


def work(job: Json, events: Events) -> Json:
    start_s = time.process_time()
    logging.basicConfig(level=logging.INFO)
    source = Path(job["source"])
    folder = Path(job["model"])
    output = Path(job["output"])
    sentence = sentence_model_of(folder)
    conversion = import_converter(source)
    events.progress("converting", 0, 1)
    try:
        with torch.inference_mode():
            model = converter_of(conversion, folder, output, job["scheme"])
            add_own_keys(model.gguf_writer, sentence)
            model.write()
    except REFUSALS as error:
        message = f"llama.cpp's converter refuses {folder.name}: {type(error).__name__}: {error}"
        hint = "--backend transformers may serve it as it is"
        raise JobError("UsageError", message, hint) from error
    return {
        "cpu_s": time.process_time() - start_s,
        "peak_rss_bytes": peak_rss_bytes(),
    }


def import_converter(source: Path) -> Any:  # Any: llama.cpp's scripts are no package of types
    """Its modules, over the copy of gguf that lies beside them."""
    sys.path.insert(0, str(source))
    sys.path.insert(0, str(source / "gguf-py"))
    return importlib.import_module("conversion")


def converter_of(
    conversion: Any,
    folder: Path,
    output: Path,
    scheme: str,
) -> Any:
    """The converter's class for this architecture, ready to write."""
    fields = conversion.ModelBase.load_hparams(folder, False)
    architecture = conversion.get_model_architecture(fields, conversion.ModelType.TEXT)
    gguf = importlib.import_module("gguf")
    file_type = gguf.LlamaFileType[FILE_TYPES[scheme]]
    return conversion.get_model_class(architecture)(folder, file_type, output)


if __name__ == "__main__":
    run_worker(work)
