"""Importance matrix of a Hugging Face model: mean squared input of each matrix's columns. Needs
torch.

Written in llama.cpp's own GGUF imatrix format, so llama-quantize reads it too.
"""

import time
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from _shared.calibration import digest_of, rows_of
from _shared.protocol import Events, JobError, peak_rss_bytes, run_worker
from llamacpp.convert import ARCHITECTURES, text_config


def collect(
    model: Any, windows: list[list[int]], events: Events
) -> dict[str, tuple[torch.Tensor, int]]:
    """Module name -> (sum of squared inputs per column, rows seen)."""
    sums: dict[str, tuple[torch.Tensor, int]] = {}

    def watch(name: str) -> Any:
        def hook(_module: Any, inputs: tuple[torch.Tensor, ...]) -> None:
            rows = inputs[0].reshape(-1, inputs[0].shape[-1]).float()
            total, count = sums.get(name, (torch.zeros(rows.shape[1], dtype=torch.float64), 0))
            sums[name] = (total + rows.square().sum(0, dtype=torch.float64), count + rows.shape[0])

        return hook

    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear):
            module.register_forward_pre_hook(watch(name))
    with torch.no_grad():
        for done, window in enumerate(windows):
            model(torch.tensor([window]))
            events.progress("importance matrix", done + 1, len(windows), unit="windows")
    return sums


def windows_of(tokenizer: Any, path: Path, *, size: int, limit: int) -> list[list[int]]:
    """Windows of a plain text, or the documents of a .jsonl file ({"text": ...} per line)."""

    def encode(text: str) -> list[int]:
        return list(tokenizer(text, add_special_tokens=False).input_ids)

    if path.suffix in (".jsonl", ".json", ".parquet"):
        rows = (
            encode(row)
            if isinstance(row, str)
            else tokenizer.apply_chat_template(row, return_dict=False)
            for row in rows_of(path)
        )
        pieces = [list(ids)[i : i + size] for ids in rows for i in range(0, len(ids), size)]
    else:
        ids = encode(path.read_text())
        pieces = [ids[i : i + size] for i in range(0, len(ids), size)]
    total = 0
    chosen = []
    for piece in pieces:
        total += len(piece)
        if total > limit:
            break
        chosen.append(piece)
    if not chosen or not chosen[0]:
        raise JobError("UsageError", f"{path} holds no text", "pass a calibration text")
    return chosen


def work(job: dict[str, Any], events: Events) -> dict[str, Any]:
    cpu_start = time.process_time()
    folder = Path(job["model"])
    config, arch = text_config(folder)
    torch.set_num_threads(job["threads"])
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    windows = windows_of(
        tokenizer,
        Path(job["text"]),
        size=min(512, config["max_position_embeddings"]),
        limit=job["tokens"],
    )
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype="auto", trust_remote_code=False
    ).eval()
    names = gguf.get_tensor_name_map(ARCHITECTURES[arch][0], config["num_hidden_layers"])
    tied = bool(config.get("tie_word_embeddings"))
    writer = gguf.GGUFWriter(job["output"], arch="")
    writer.add_type("imatrix")
    writer.add_array("imatrix.datasets", [Path(job["text"]).name])
    writer.add_uint32("imatrix.chunk_count", len(windows))
    writer.add_uint32("imatrix.chunk_size", max(map(len, windows)))
    entries = 0
    for name, (total, count) in sorted(collect(model, windows, events).items()):
        plain = name.replace("model.language_model.", "model.")
        target = names.get_name(f"{plain}.weight", try_suffixes=(".weight",))
        if plain.endswith("lm_head") and tied:
            target = "token_embd.weight"  # the tied matrix is stored once, as the embedding
        if target:
            writer.add_tensor(f"{target}.in_sum2", total.numpy().astype(np.float32).reshape(1, -1))
            writer.add_tensor(f"{target}.counts", np.full((1, 1), count, np.float32))
            entries += 1
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    used = {"digest": digest_of(windows), "samples": len(windows), "tokens": sum(map(len, windows))}
    return {
        "entries": entries,
        "calibration": used,
        "cpu_s": time.process_time() - cpu_start,
        "peak_rss_bytes": peak_rss_bytes(),
    }


if __name__ == "__main__":
    run_worker(work)
