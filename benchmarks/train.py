"""Tokens per CPU second: `llmops train` beside a bare loop, HF Trainer, TRL and LLaMA-Factory.

The same model, rows of the same length, one thread, fused AdamW, clipping; only the loop is timed.
Sides take turns, and the median of the pairs' ratios counts. TRL and LLaMA-Factory run where a
Python is named that has trl, or llamafactory. torchtitan is not here: docs/TRAINING.md.

    python benchmarks/train.py [--pairs 5] [--steps 40] [--layers 4] [--precision f32]
                               [--trl-python PATH] [--llama-factory-python PATH]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROWS = 8
TOKENS = 256
VOCABULARY = 2048
WORDS = 4000
ROWS_OF_DATA = 512
Json = dict[str, Any]


def config(layers: int) -> Json:
    return {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "vocab_size": VOCABULARY,
        "hidden_size": 256,
        "intermediate_size": 768,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": TOKENS,
        "tie_word_embeddings": True,
    }


def write_data(path: Path) -> None:
    """Texts of more than a row's tokens, of invented words."""
    rng = random.Random(0)
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["".join(rng.choices(letters, k=rng.randint(2, 9))) for _ in range(WORDS)]
    lines = []
    for _ in range(ROWS_OF_DATA):
        text = " ".join(rng.choices(words, k=2 * TOKENS))
        lines.append(json.dumps({"text": text}))
    path.write_text("\n".join(lines))


def ours(folder: Path, options: argparse.Namespace) -> float:
    """By the report's own count, of a run in a new folder."""
    output = folder / f"ours-{time.monotonic_ns()}"
    command = [
        *(sys.executable, "-m", "llmops_cli", "train"),
        *("--init", str(folder / "config.json"), "--data", str(folder / "data.jsonl")),
        *("--steps", str(options.steps), "--batch-size", str(ROWS), "--accumulate", "1"),
        *("--sequence-length", str(TOKENS), "--threads", "1", "--precision", options.precision),
        *("--checkpoint-every", "0", "-o", str(output), "--json"),
    ]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if run.returncode:
        sys.exit(run.stderr)
    report = json.loads(run.stdout)
    return float(report["tokens"] / report["training_cpu_s"])


def pythons(options: argparse.Namespace) -> dict[str, str | None]:
    """Of sides that have an environment of their own."""
    return {"trl": options.trl_python, "llama-factory": options.llama_factory_python}


def in_process(side: str, folder: Path, options: argparse.Namespace) -> float:
    """One of the other sides, in a process of its own."""
    python = pythons(options).get(side) or sys.executable
    command = [python, __file__, "--side", side, "--folder", str(folder)]
    command += ["--steps", str(options.steps), "--precision", options.precision]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        sys.exit(run.stderr)
    return float(run.stdout.split()[-1])


def model_of(folder: Path) -> Any:  # Any: torch is imported late
    from transformers import AutoConfig, AutoModelForCausalLM

    found = AutoConfig.from_pretrained(str(folder / "config.json"))
    return AutoModelForCausalLM.from_config(found)


def bare(folder: Path, options: argparse.Namespace) -> float:
    import torch
    from torch.nn import functional

    model = model_of(folder)
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4, weight_decay=0.1, fused=True)
    generator = torch.Generator().manual_seed(0)
    start_s = time.process_time()
    for _ in range(options.steps):
        ids_BT = torch.randint(VOCABULARY, (ROWS, TOKENS + 1), generator=generator)
        with torch.autocast("cpu", torch.bfloat16, enabled=options.precision == "bf16"):
            logits_BTV = model(input_ids=ids_BT[:, :-1], use_cache=False).logits
        targets_N = ids_BT[:, 1:].flatten()
        loss = functional.cross_entropy(logits_BTV.float().flatten(0, 1), targets_N)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        loss.item()
    return options.steps * ROWS * TOKENS / (time.process_time() - start_s)


def rows_of(options: argparse.Namespace) -> list[Json]:
    import torch

    generator = torch.Generator().manual_seed(0)
    rows = []
    for _ in range(options.steps * ROWS):
        ids_T = torch.randint(VOCABULARY, (TOKENS,), generator=generator)
        rows.append({"input_ids": ids_T, "labels": ids_T})
    return rows


def arguments_of(folder: Path, options: argparse.Namespace) -> Json:
    """Of Trainer and of what TRL makes of it: its defaults, but for what costs time besides."""
    return {
        "output_dir": str(folder / f"trainer-{time.monotonic_ns()}"),
        "per_device_train_batch_size": ROWS,
        "max_steps": options.steps,
        "bf16": options.precision == "bf16",
        "use_cpu": True,
        "report_to": [],
        "save_strategy": "no",
        "logging_steps": 1,
        "disable_tqdm": True,
        "weight_decay": 0.1,
        "dataloader_pin_memory": False,
    }


def timed(loop: Any, options: argparse.Namespace) -> float:
    start_s = time.process_time()
    loop.train()
    return options.steps * ROWS * TOKENS / (time.process_time() - start_s)


def trainer(folder: Path, options: argparse.Namespace) -> float:
    from transformers import Trainer, TrainingArguments

    arguments = TrainingArguments(**arguments_of(folder, options))
    make: Any = Trainer  # its constructor has no types
    rows = rows_of(options)
    return timed(make(model=model_of(folder), args=arguments, train_dataset=rows), options)


def tokenizer_of(vocabulary: dict[str, int]) -> Any:
    """Of whole words."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit
    from transformers import PreTrainedTokenizerFast

    known = {"[PAD]": 0, "[END]": 1, **vocabulary}
    words = Tokenizer(WordLevel(known, unk_token="[PAD]"))
    words.pre_tokenizer = WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=words, pad_token="[PAD]", eos_token="[END]")


def trl(folder: Path, options: argparse.Namespace) -> float:
    """SFTTrainer on rows that are tokens already, without gradient checkpointing as the others."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    rows = [{"input_ids": row["input_ids"].tolist()} for row in rows_of(options)]
    arguments = SFTConfig(
        **arguments_of(folder, options),
        max_length=TOKENS,
        gradient_checkpointing=False,
        dataset_kwargs={"skip_prepare_dataset": True},
    )
    loop = SFTTrainer(
        model=model_of(folder),
        args=arguments,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer_of({}),
    )
    return timed(loop, options)


def llama_factory(folder: Path, options: argparse.Namespace) -> float:
    """Its pre-training, which cuts texts into rows of the same length, by its own entry."""
    from llamafactory.train.tuner import run_exp
    from transformers import TrainerCallback

    class Clock(TrainerCallback):
        def on_train_begin(self, *state: Any, **named: Any) -> None:
            self.start_s = time.process_time()

        def on_train_end(self, *state: Any, **named: Any) -> None:
            self.cpu_s = time.process_time() - self.start_s

    clock = Clock()
    run_exp({**arguments_of(folder, options), **prepared(folder)}, callbacks=[clock])
    return options.steps * ROWS * TOKENS / clock.cpu_s


def prepared(folder: Path) -> Json:
    """A folder of a model and a table of datasets, as LLaMA-Factory reads them."""
    model = folder / "llama-factory-model"
    model_of(folder).save_pretrained(model)
    texts = [json.loads(line)["text"] for line in (folder / "data.jsonl").read_text().splitlines()]
    words = sorted({word for text in texts for word in text.split()})
    numbered = {word: 2 + number % (VOCABULARY - 2) for number, word in enumerate(words)}
    tokenizer_of(numbered).save_pretrained(model)
    table = {"words": {"file_name": "data.jsonl", "columns": {"prompt": "text"}}}
    (folder / "dataset_info.json").write_text(json.dumps(table))
    return {
        "stage": "pt",
        "do_train": True,
        "finetuning_type": "full",
        "model_name_or_path": str(model),
        "dataset_dir": str(folder),
        "dataset": "words",
        "cutoff_len": TOKENS,
        "template": "default",
        "disable_gradient_checkpointing": True,
        "report_to": "none",
    }


SIDES = {"bare": bare, "trainer": trainer, "trl": trl, "llama-factory": llama_factory}


def compare(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "config.json").write_text(json.dumps(config(options.layers)))
        write_data(folder / "data.jsonl")
        sides = [side for side in SIDES if pythons(options).get(side, sys.executable)]
        speeds: dict[str, list[float]] = {"llmops": [], **{side: [] for side in sides}}
        for _ in range(options.pairs):
            speeds["llmops"].append(ours(folder, options))
            for side in sides:
                speeds[side].append(in_process(side, folder, options))
            tell(speeds)


def tell(speeds: dict[str, list[float]]) -> None:
    """Of the pairs so far: a run that is ended loses nothing."""
    print(f"after {len(speeds['llmops'])} pairs")
    for side, found in speeds.items():
        ratios = [ours / other for ours, other in zip(speeds["llmops"], found, strict=True)]
        print(
            f"{side:13} {statistics.median(found):8,.0f} tokens/CPU-s"
            f"   llmops is {statistics.median(ratios):.3f} of it",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--precision", default="f32")
    parser.add_argument("--trl-python")
    parser.add_argument("--llama-factory-python")
    parser.add_argument("--side")
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    if not options.side:
        compare(options)
        return
    import torch

    torch.set_num_threads(1)
    print(SIDES[options.side](options.folder, options))


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
