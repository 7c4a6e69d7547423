"""Importance matrix of a Hugging Face model: mean squared input of each matrix's columns.

Written in llama.cpp's own GGUF imatrix format, so llama-quantize reads it too.
Shapes: N tokens, I input columns.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from _shared.calibration import chat_tokens, count_tokens, digest_of
from _shared.documents import rows_of
from _shared.protocol import Events, JobError, Json, peak_rss_bytes, run_worker
from llamacpp.architectures import ARCHITECTURES, read_config

WINDOW_TOKENS = 512


class ColumnSums:
    """The sum of squared inputs of one matrix, per column, and how many rows were seen."""

    def __init__(self) -> None:
        self.total_I = torch.zeros(0, dtype=torch.float64)
        self.count = 0

    def add(self, input_NI: torch.Tensor) -> None:
        squares_NI = input_NI.float().square()
        total_I = squares_NI.sum(0, dtype=torch.float64)
        if self.count > 0:
            total_I += self.total_I
        self.total_I = total_I
        self.count += input_NI.shape[0]


def collect(
    model: Any,
    windows: list[list[int]],
    events: Events,
) -> dict[str, ColumnSums]:
    """By module, over all windows."""
    found: dict[str, ColumnSums] = {}
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear):
            module.register_forward_pre_hook(_adder(found, name))
    with torch.no_grad():
        for done, window in enumerate(windows, 1):
            tokens_BT = torch.tensor([window])
            model(tokens_BT)
            events.progress("importance matrix", done, len(windows), unit="windows")
    return found


def _adder(found: dict[str, ColumnSums], name: str) -> Callable[[Any, tuple[Any, ...]], None]:
    """A hook that adds a module's inputs; a module that is never called gets no sums."""

    def hook(_module: Any, inputs: tuple[Any, ...]) -> None:
        first = inputs[0]
        columns = first.shape[-1]
        sums = found.setdefault(name, ColumnSums())
        sums.add(first.reshape(-1, columns))

    return hook


def windows_of(
    tokenizer: Any,
    path: Path,
    *,
    size: int,
    limit: int,
) -> list[list[int]]:
    """Windows of the text up to `limit` tokens in all; a document begins a new window."""
    chosen: list[list[int]] = []
    total = 0
    for tokens in _documents(tokenizer, path):
        for start in range(0, len(tokens), size):
            window = tokens[start : start + size]
            total += len(window)
            if total > limit:
                return _some(chosen, path)
            chosen.append(window)
    return _some(chosen, path)


def _documents(tokenizer: Any, path: Path) -> Iterator[list[int]]:
    """Tokens of a plain text, or of each row of a file of documents or chats."""
    for row in rows_of(path):
        if isinstance(row, str):
            encoded = tokenizer(row, add_special_tokens=False)
            yield list(encoded.input_ids)
        else:
            yield chat_tokens(tokenizer, row)


def _some(windows: list[list[int]], path: Path) -> list[list[int]]:
    if not windows:
        raise JobError("UsageError", f"{path} holds no text", "pass a calibration text")
    return windows


def gguf_names(
    found: dict[str, ColumnSums],
    config: Json,
    arch: str,
) -> dict[str, ColumnSums]:
    """The sums by the names that the tensors have in a GGUF file."""
    layers = config["num_hidden_layers"]
    gguf_arch = ARCHITECTURES[arch].gguf
    names = gguf.get_tensor_name_map(gguf_arch, layers)
    tied = bool(config.get("tie_word_embeddings"))
    named = {}
    for module in sorted(found):
        plain = module.replace("model.language_model.", "model.")
        target = names.get_name(f"{plain}.weight", try_suffixes=(".weight",))
        if plain.endswith("lm_head") and tied:
            target = "token_embd.weight"  # the tied matrix is stored once, as the embedding
        if target:
            named[target] = found[module]
    return named


def write_imatrix(
    output: str,
    sums: dict[str, ColumnSums],
    *,
    text: Path,
    windows: list[list[int]],
) -> None:
    writer = gguf.GGUFWriter(output, arch="")
    writer.add_type("imatrix")
    writer.add_array("imatrix.datasets", [text.name])
    writer.add_uint32("imatrix.chunk_count", len(windows))
    longest = max(len(window) for window in windows)
    writer.add_uint32("imatrix.chunk_size", longest)
    for name, columns in sums.items():
        total_I = columns.total_I.numpy()
        wide_I = total_I.astype(np.float32)
        sums_1I = wide_I.reshape(1, -1)
        counts = np.full((1, 1), columns.count, np.float32)
        writer.add_tensor(f"{name}.in_sum2", sums_1I)
        writer.add_tensor(f"{name}.counts", counts)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def work(job: Json, events: Events) -> Json:
    start_s = time.process_time()
    folder = Path(job["model"])
    text = Path(job["text"])
    config, arch = read_config(folder)
    torch.set_num_threads(job["threads"])
    tokenizer: Any = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    size = min(WINDOW_TOKENS, config["max_position_embeddings"])
    windows = windows_of(tokenizer, text, size=size, limit=job["tokens"])
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype="auto", trust_remote_code=False)
    model.eval()
    collected = collect(model, windows, events)
    sums = gguf_names(collected, config, arch)
    write_imatrix(job["output"], sums, text=text, windows=windows)
    calibration = {
        "digest": digest_of(windows),
        "samples": len(windows),
        "tokens": count_tokens(windows),
        "wanted_tokens": job["tokens"],
    }
    return {
        "entries": len(sums),
        "calibration": calibration,
        "cpu_s": time.process_time() - start_s,
        "peak_rss_bytes": peak_rss_bytes(),
    }


if __name__ == "__main__":
    run_worker(work)
