"""Converts every model of a zoo as F32 and compares llama.cpp with what Transformers said.

Usage: python -m tests.zoo.walk FOLDER WORKERS; the answer is FOLDER/walk.json.
"""

from __future__ import annotations

import ctypes
import json
import sys
import traceback
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np

from tests.zoo.cases import CASES
from tests.zoo.make import folder_of
from tests.zoo.texts import TEXTS

F32 = 0
MOST = 4096


def converted(folder: Path, file: Path) -> dict[str, Any]:
    from _shared.protocol import Events, JobError
    from llamacpp.convert import work

    job = {"model": str(folder), "output": str(file), "scheme": "F32"}
    try:
        return work(job, Events(None))
    except JobError as error:
        return {"refused": error.message, "hint": error.hint}
    except Exception:  # a crash is what the walk looks for
        return {"crash": traceback.format_exc()[-800:]}


def compared(folder: Path, file: Path) -> dict[str, Any]:
    """How far llama.cpp is from Transformers, and the texts and ends that it takes otherwise."""
    params = llama_cpp.llama_model_default_params()
    model = llama_cpp.llama_model_load_from_file(str(file).encode(), params)
    if not model:
        return {"crash": "llama.cpp does not load it"}
    truth = np.load(folder / "truth.npz")
    found = logits_of(model, truth["tokens"].tolist())
    vocabulary = llama_cpp.llama_model_get_vocab(model)
    other = other_texts(vocabulary, folder)
    goes_on = [
        end for end in truth["ends"].tolist() if not llama_cpp.llama_vocab_is_eog(vocabulary, end)
    ]
    context = llama_cpp.llama_model_n_ctx_train(model)
    llama_cpp.llama_model_free(model)
    return {
        "kl": divergence(truth["logits"], found),
        "other_texts": other,
        "in_file": context,
        "goes_on_after": goes_on,
    }


def other_texts(vocabulary: Any, folder: Path) -> list[dict[str, Any]]:
    """Those that llama.cpp reads differently, bare or with what is put around them."""
    expected = json.loads((folder / "tokens.json").read_text())
    other = []
    for text, (bare, whole) in zip(TEXTS, expected, strict=True):
        ours = tokens_of(vocabulary, text, special=False)
        ours_whole = tokens_of(vocabulary, text, special=True)
        if (ours, ours_whole) != (bare, whole):
            row = {"text": text, "llama.cpp": ours, "transformers": bare}
            ends = {"ends": [ours_whole[:1], ours_whole[-1:], whole[:1], whole[-1:]]}
            other.append(row | ends)
    return other


def logits_of(model: Any, tokens: list[int]) -> np.ndarray[Any, Any]:
    params = llama_cpp.llama_context_default_params()
    count = len(tokens)
    params.n_ctx = params.n_batch = params.n_ubatch = max(count, 32)
    params.n_threads = params.n_threads_batch = 1
    params.type_k = params.type_v = F32
    params.flash_attn_type = 0
    context = llama_cpp.llama_init_from_model(model, params)
    batch = llama_cpp.llama_batch_init(count, 0, 1)
    for place, token in enumerate(tokens):
        batch.token[place] = token
        batch.pos[place] = place
        batch.n_seq_id[place] = 1
        batch.seq_id[place][0] = 0
        batch.logits[place] = 1
    batch.n_tokens = count
    status = llama_cpp.llama_decode(context, batch)
    assert status == 0, status
    width = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))
    pointer = llama_cpp.llama_get_logits(context)
    logits = np.ctypeslib.as_array(pointer, (count, width)).astype(np.float64)
    llama_cpp.llama_batch_free(batch)
    llama_cpp.llama_free(context)
    return logits


def tokens_of(vocabulary: Any, text: str, *, special: bool) -> list[int]:
    raw = text.encode()
    buffer = (llama_cpp.llama_token * MOST)()
    count = llama_cpp.llama_tokenize(vocabulary, raw, len(raw), buffer, MOST, special, True)
    return list(buffer[:count])


def divergence(expected: np.ndarray[Any, Any], found: np.ndarray[Any, Any]) -> float:
    """KL of the second from the first, nats a token."""
    first = _log_softmax(expected.astype(np.float64))
    second = _log_softmax(found)
    return float((np.exp(first) * (first - second)).sum(axis=1).mean())


def _log_softmax(logits: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    shifted = logits - logits.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def main() -> None:
    root = Path(sys.argv[1])
    sys.path.insert(0, sys.argv[2])
    silent = llama_cpp.llama_log_callback(lambda *_: None)
    llama_cpp.llama_log_set(silent, ctypes.c_void_p(0))
    results = {}
    for name in CASES:
        folder = folder_of(root, name)
        if not folder.exists():
            continue
        file = root / name / "model.gguf"
        found = converted(folder, file)
        is_made = "refused" not in found and "crash" not in found
        if is_made and (folder / "truth.npz").exists():
            found |= compared(folder, file)
        file.unlink(missing_ok=True)
        results[name] = found
        (root / "walk.json").write_text(json.dumps(results))


if __name__ == "__main__":
    main()
