"""Converts a Hugging Face folder for CTranslate2, in its own precision or as int8.

The tokenizer's files go with it.
"""

import json
import shutil
import time
from pathlib import Path
from pickle import UnpicklingError

from ctranslate2.converters import TransformersConverter

from _shared.protocol import Events, JobError, Json, peak_rss_bytes, run_worker
from ct2.context import CONTEXT_KEY

TEMPLATES = "additional_chat_templates"
STAGE = "converting for ctranslate2"
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "added_tokens.json",
    "special_tokens_map.json",
    "tokenizer.model",
    "generation_config.json",
)


def work(job: Json, events: Events) -> Json:
    start_s = time.process_time()
    source = Path(job["model"])
    target = Path(job["output"])
    events.progress(STAGE, 0, 1)
    quantization = None
    if job.get("bits") == 8:
        quantization = "int8"
    convert_weights(source, target, quantization=quantization)
    name_missing_tokens(target / "config.json")
    keep_context(source / "config.json", target / "config.json")
    for name in TOKENIZER_FILES:
        file = source / name
        if file.is_file():
            shutil.copy(file, target / name)
    if (source / TEMPLATES).is_dir():
        shutil.copytree(source / TEMPLATES, target / TEMPLATES)
    events.progress(STAGE, 1, 1)
    return {
        "path": str(target),
        "cpu_s": time.process_time() - start_s,
        "peak_rss_bytes": peak_rss_bytes(),
    }


def convert_weights(
    source: Path,
    target: Path,
    *,
    quantization: str | None,
) -> None:
    converter = TransformersConverter(str(source), trust_remote_code=False)
    try:
        converter.convert(str(target), quantization=quantization, force=True)
    except UnpicklingError as error:
        raise JobError(
            "UsageError",
            f"the weights in {source} are a pickle that is damaged, or holds more than tensors",
            "take the model with .safetensors files",
        ) from error
    except (ValueError, KeyError, NotImplementedError) as error:
        raise JobError(
            "UsageError",
            f"CTranslate2 cannot convert this model: {error}",
            "use --backend llamacpp or transformers",
        ) from error


def name_missing_tokens(path: Path) -> None:
    """CTranslate2 writes null for a special token that a model lacks, and cannot read that."""
    config = json.loads(path.read_text())
    end = ""
    for key in ("bos_token", "eos_token"):
        end = config.get(key) or end
    for key in ("bos_token", "unk_token"):
        if not config.get(key):
            config[key] = end
    text = json.dumps(config, indent=2)
    path.write_text(text)


def keep_context(source: Path, target: Path) -> None:
    """Without it a server could not tell a prompt that is too long from others."""
    context = json.loads(source.read_text()).get(CONTEXT_KEY)
    if context:
        config = json.loads(target.read_text())
        config[CONTEXT_KEY] = context
        text = json.dumps(config, indent=2)
        target.write_text(text)


if __name__ == "__main__":
    run_worker(work)
