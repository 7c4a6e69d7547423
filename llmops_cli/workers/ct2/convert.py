"""Converts a Hugging Face folder for CTranslate2, in its own precision or as int8, with its
tokenizer files.
"""

import json
import shutil
import time
from pathlib import Path
from typing import Any

from ctranslate2.converters import TransformersConverter

from _shared.protocol import Events, JobError, peak_rss_bytes, run_worker

TOKENIZER = (
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "special_tokens_map.json",
    "tokenizer.model",
    "generation_config.json",
)


def convert(given: dict[str, Any], events: Events) -> dict[str, Any]:
    start = time.process_time()
    source = Path(given["model"])
    target = Path(given["output"])
    events.progress("converting for ctranslate2", 0, 1)
    quantization = "int8" if given.get("bits") == 8 else None
    try:
        TransformersConverter(str(source), trust_remote_code=False).convert(
            str(target), quantization=quantization, force=True
        )
    except (ValueError, KeyError, NotImplementedError) as error:
        raise JobError(
            "UsageError",
            f"CTranslate2 cannot convert this model: {error}",
            "use --backend llamacpp or transformers",
        ) from error
    config = json.loads((target / "config.json").read_text())
    end = config.get("eos_token") or config.get("bos_token") or ""
    for key in (
        "bos_token",
        "unk_token",
    ):  # CTranslate2 writes null for a model without one, and cannot read it
        config[key] = config.get(key) or end
    (target / "config.json").write_text(json.dumps(config, indent=2))
    for name in TOKENIZER:
        if (source / name).is_file():
            shutil.copy(source / name, target / name)
    events.progress("converting for ctranslate2", 1, 1)
    return {
        "path": str(target),
        "cpu_s": time.process_time() - start,
        "peak_rss_bytes": peak_rss_bytes(),
    }


if __name__ == "__main__":
    run_worker(convert)
