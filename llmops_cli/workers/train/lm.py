"""Trains a small Llama from scratch on chat JSONL, on one process. Needs torch, transformers,
tokenizers.

Shapes: B batch, T tokens, V vocabulary.
"""

import json
import math
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from _shared.protocol import Events, JobError, peak_rss_bytes, run_worker

SPECIAL = ["<|endoftext|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>"]
TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
# Qwen2's split: llama.cpp knows it by name, and single digits make arithmetic learnable.
SPLIT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
Sample = tuple[list[int], list[float]]


def render(messages: list[dict[str, str]]) -> Iterator[tuple[str, bool]]:
    """Pieces of the chat text, each with whether the model itself must produce it."""
    for message in messages:
        yield f"<|{message['role']}|>", False
        yield f"{message['content']}<|end|>", message["role"] == "assistant"


def read_chats(path: Path) -> list[list[dict[str, str]]]:
    chats = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        try:
            messages = json.loads(line)["messages"]
            chats.append([{"role": m["role"], "content": m["content"]} for m in messages])
        except (ValueError, KeyError, TypeError) as error:
            raise JobError(
                "UsageError",
                f"{path}:{number} is no chat: {error}",
                'each line: {"messages": [...]}',
            ) from None
    if not chats:
        raise JobError("UsageError", f"{path} has no examples")
    return chats


def train_tokenizer(chats: list[list[dict[str, str]]], vocab_size: int) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=SPECIAL,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator((m["content"] for chat in chats for m in chat), trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=SPECIAL[0],
        pad_token=SPECIAL[0],
        eos_token=SPECIAL[-1],
    )
    fast.chat_template = TEMPLATE
    return fast


def encode(tokenizer: Tokenizer, chat: list[dict[str, str]], prompt_weight: float) -> Sample:
    """Token ids and the weight of predicting each of them."""
    ids: list[int] = []
    weights: list[float] = []
    for text, is_answer in render(chat):
        piece = tokenizer.encode(text, add_special_tokens=False).ids
        ids += piece
        weights += [1.0 if is_answer else prompt_weight] * len(piece)
    return ids, weights


def collate(samples: list[Sample]) -> tuple[torch.Tensor, torch.Tensor]:
    """Right-padded ids_BT and weights_BT; padding weighs 0."""
    longest = max(len(ids) for ids, _ in samples)
    ids_BT = torch.zeros(len(samples), longest, dtype=torch.long)
    weights_BT = torch.zeros(len(samples), longest)
    for row, (ids, weights) in enumerate(samples):
        ids_BT[row, : len(ids)] = torch.tensor(ids)
        weights_BT[row, : len(ids)] = torch.tensor(weights)
    return ids_BT, weights_BT


def make_model(recipe: dict[str, Any], vocab_size: int) -> LlamaForCausalLM:
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=vocab_size,
            hidden_size=recipe["hidden_size"],
            intermediate_size=recipe["intermediate_size"],
            num_hidden_layers=recipe["layers"],
            num_attention_heads=recipe["heads"],
            num_key_value_heads=recipe["kv_heads"],
            max_position_embeddings=recipe["context"],
            tie_word_embeddings=True,
            bos_token_id=0,
            pad_token_id=0,
            eos_token_id=SPECIAL.index("<|end|>"),
            use_cache=False,
        )
    )


def make_optimizers(model: LlamaForCausalLM, learning_rate: float) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the blocks, AdamW for embeddings and norms."""
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    rest = [p for name, p in model.named_parameters() if p.ndim != 2 or "embed" in name]
    return [
        torch.optim.Muon(
            matrices, lr=learning_rate, momentum=0.95, weight_decay=0.01, adjust_lr_fn="original"
        ),
        torch.optim.AdamW(rest, lr=learning_rate / 4, betas=(0.9, 0.95), weight_decay=0.0),
    ]


def schedule(step: int, steps: int) -> float:
    """Linear warm-up over 20 steps, flat, then linear decay over the last 35 %."""
    return min(1.0, (step + 1) / 20) * min(1.0, max(0.02, (steps - step) / (0.35 * steps)))


def use_bf16(precision: str) -> bool:
    """Autocast pays only where the CPU multiplies bf16 itself."""
    if precision == "auto":
        flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
        return "avx512_bf16" in flags or "amx_bf16" in flags
    if precision not in ("bf16", "f32"):
        raise JobError("UsageError", f"unknown precision '{precision}'", "known: auto, bf16, f32")
    return precision == "bf16"


def step_loss(model: LlamaForCausalLM, samples: list[Sample], *, bf16: bool) -> float:
    """Adds the gradients of the weighted mean cross entropy over one batch; returns that mean.

    Two halves by length: less padding at the same sum over the same weights.
    """
    ordered = sorted(samples, key=lambda sample: len(sample[0]))
    middle = (len(ordered) + 1) // 2
    halves = [collate(half) for half in (ordered[:middle], ordered[middle:]) if half]
    total_weight = sum(weights_BT[:, 1:].sum() for _, weights_BT in halves)
    total = 0.0
    for ids_BT, weights_BT in halves:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            logits_BTV = model(ids_BT[:, :-1]).logits
        losses = functional.cross_entropy(
            logits_BTV.float().flatten(0, 1), ids_BT[:, 1:].flatten(), reduction="none"
        )
        loss = (losses * weights_BT[:, 1:].flatten()).sum() / total_weight
        loss.backward()
        total += loss.item()
    return total


def train(
    model: LlamaForCausalLM, samples: list[Sample], recipe: dict[str, Any], events: Events
) -> dict[str, Any]:
    optimizers = make_optimizers(model, recipe["learning_rate"])
    base = [[group["lr"] for group in optimizer.param_groups] for optimizer in optimizers]
    bf16 = use_bf16(recipe["precision"])
    steps = recipe["steps"]
    batch = recipe["batch_size"]
    rng = random.Random(recipe["seed"])
    order: list[int] = []
    tokens = 0
    curve = []
    loss = 0.0
    for step in range(steps):
        if len(order) < batch:
            order += rng.sample(range(len(samples)), len(samples))
        chosen = [samples[i] for i in order[:batch]]
        order = order[batch:]
        for optimizer, rates in zip(optimizers, base, strict=True):
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * schedule(step, steps)
        loss = step_loss(model, chosen, bf16=bf16)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        tokens += sum(len(ids) for ids, _ in chosen)
        if math.isnan(loss):
            raise JobError(
                "EngineFailed", f"the loss became NaN at step {step + 1}", "lower --learning-rate"
            )
        if step % max(1, steps // 100) == 0 or step == steps - 1:
            curve.append((step + 1, round(loss, 5)))
        events.progress("training", step + 1, steps, loss=round(loss, 4))
    return {"loss": loss, "tokens": tokens, "loss_curve": curve}


def work(job: dict[str, Any], events: Events) -> dict[str, Any]:
    recipe = job["recipe"]
    out = Path(job["output"])
    start = time.monotonic()
    cpu_start = time.process_time()
    torch.manual_seed(recipe["seed"])
    torch.set_num_threads(job["threads"])
    torch.use_deterministic_algorithms(True)
    events.emit(stage="tokenizer", done=0, total=1)
    chats = read_chats(Path(job["data"]))
    tokenizer = train_tokenizer(chats[:8000], recipe["vocab_size"])
    model = make_model(recipe, len(tokenizer))
    samples = [
        encode(tokenizer.backend_tokenizer, chat, recipe["prompt_loss_weight"]) for chat in chats
    ]
    longest = max(len(ids) for ids, _ in samples)
    if longest > recipe["context"]:
        raise JobError(
            "UsageError",
            f"an example has {longest} tokens, the context is {recipe['context']}",
            "raise context",
        )
    outcome = train(model, samples, recipe, events)
    model.config.use_cache = True
    model.to(torch.bfloat16).save_pretrained(out)
    tokenizer.save_pretrained(out)
    return {
        **outcome,
        "parameters": sum(p.numel() for p in model.parameters()),
        "wall_s": time.monotonic() - start,
        "cpu_s": time.process_time() - cpu_start,
        "peak_rss_bytes": peak_rss_bytes(),
    }


if __name__ == "__main__":
    run_worker(work)
