"""Converts a Hugging Face folder for CTranslate2, in the weights' own precision; tokenizer files are copied along."""

import shutil
from pathlib import Path
from typing import Any

from _protocol import Events, JobError, run_worker
from ctranslate2.converters import TransformersConverter

TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "special_tokens_map.json",
             "tokenizer.model", "generation_config.json")  # fmt: skip


def convert(given: dict[str, Any], events: Events) -> dict[str, Any]:
    source, target = Path(given["source"]), Path(given["target"])
    events.progress("converting for ctranslate2", 0, 1)
    try:
        TransformersConverter(str(source), trust_remote_code=False).convert(str(target), force=True)
    except (ValueError, KeyError, NotImplementedError) as error:
        raise JobError(
            "UsageError", f"CTranslate2 cannot convert this model: {error}", "use --backend llamacpp or transformers"
        ) from error
    for name in TOKENIZER:
        if (source / name).is_file():
            shutil.copy(source / name, target / name)
    events.progress("converting for ctranslate2", 1, 1)
    return {"path": str(target)}


if __name__ == "__main__":
    run_worker(convert)
