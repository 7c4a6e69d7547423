"""One real tokenizer with a tiny model: its GGUF vocabulary against Transformers.

Usage: python -m tests.zoo.real TOKENIZER KIND VOCABULARY WORKERS; the last line is the answer.
"""

from __future__ import annotations

import ctypes
import json
import shutil
import sys
import tempfile
from pathlib import Path

import llama_cpp

from tests.zoo.case import SIZE
from tests.zoo.make import tokens_rows
from tests.zoo.walk import converted, other_texts

TINY = {**SIZE, "hidden_size": 32, "intermediate_size": 32, "head_dim": 8}


def make(folder: Path, tokenizer: Path, kind: str, vocabulary: int) -> None:
    import transformers
    from transformers import AutoTokenizer

    fields = {**TINY, "vocab_size": vocabulary, "tie_word_embeddings": True}
    config = getattr(transformers, f"{kind}Config")(**fields)
    model = getattr(transformers, f"{kind.removesuffix('Text')}ForCausalLM")(config)
    model.save_pretrained(folder)
    for path in tokenizer.glob("*.json"):
        shutil.copy(path, folder)
    rows = tokens_rows(AutoTokenizer.from_pretrained(folder))
    (folder / "tokens.json").write_text(json.dumps(rows))


def main() -> None:
    tokenizer, kind, vocabulary, workers = sys.argv[1:]
    sys.path.insert(0, workers)
    silent = llama_cpp.llama_log_callback(lambda *_: None)
    llama_cpp.llama_log_set(silent, ctypes.c_void_p(0))
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "model"
        folder.mkdir()
        make(folder, Path(tokenizer), kind, int(vocabulary))
        file = Path(place) / "model.gguf"
        found = converted(folder, file)
        if file.exists() and "notices" in found:
            params = llama_cpp.llama_model_default_params()
            model = llama_cpp.llama_model_load_from_file(str(file).encode(), params)
            vocab = llama_cpp.llama_model_get_vocab(model)
            found["other_texts"] = other_texts(vocab, folder)
        sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
