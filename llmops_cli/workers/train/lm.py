"""Trains a small Llama from scratch on chat JSONL, on one process.

Needs torch, transformers, tokenizers.
Shapes: B batch, T tokens, V vocabulary.
"""

import math
import random
import time
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM

from _shared.protocol import Events, JobError, Json, peak_rss_bytes, run_worker
from train.chats import Sample, collate, encode, read_chats
from train.tokenizer import END, SPECIAL, train_tokenizer

TOKENIZER_CHATS = 8000
WARM_UP_STEPS = 20
DECAY_SHARE = 0.35
LEAST_RATE = 0.02
CURVE_POINTS = 100


def make_model(recipe: Json, vocab_size: int) -> Any:
    config = LlamaConfig(
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
        eos_token_id=SPECIAL.index(END),
        use_cache=False,
    )
    return LlamaForCausalLM(config)


def make_optimizers(model: Any, learning_rate: float) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the blocks, AdamW for embeddings and norms."""
    matrices: list[torch.nn.Parameter] = []
    rest: list[torch.nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if parameter.ndim == 2 and "embed" not in name:
            matrices.append(parameter)
        else:
            rest.append(parameter)
    muon = torch.optim.Muon(
        matrices,
        lr=learning_rate,
        momentum=0.95,
        weight_decay=0.01,
        adjust_lr_fn="original",
    )
    adam_rate = learning_rate / 4
    adam = torch.optim.AdamW(rest, lr=adam_rate, betas=(0.9, 0.95), weight_decay=0.0)
    return [muon, adam]


def schedule(step: int, steps: int) -> float:
    """Linear warm-up over 20 steps, flat, then linear decay over the last 35 %."""
    share = (step + 1) / WARM_UP_STEPS
    warm_up = min(1.0, share)
    decay = (steps - step) / (DECAY_SHARE * steps)
    falling = max(LEAST_RATE, decay)
    return warm_up * min(1.0, falling)


def use_bf16(precision: str) -> bool:
    """Autocast pays only where the CPU multiplies bf16 itself."""
    if precision == "auto":
        path = Path("/proc/cpuinfo")
        flags = ""
        if path.exists():
            flags = path.read_text()
        return "avx512_bf16" in flags or "amx_bf16" in flags
    if precision not in ("bf16", "f32"):
        raise JobError("UsageError", f"unknown precision '{precision}'", "known: auto, bf16, f32")
    return precision == "bf16"


def step_loss(
    model: Any,
    samples: list[Sample],
    *,
    bf16: bool,
) -> float:
    """Adds the gradients of the weighted mean cross entropy over one batch; returns that mean.

    Two halves by length: less padding at the same sum over the same weights.
    """
    ordered = sorted(samples, key=length_of)
    middle = (len(ordered) + 1) // 2
    first_half = ordered[:middle]
    second_half = ordered[middle:]
    parts = (first_half, second_half)
    halves = [collate(part) for part in parts if part]
    total_weight = sum(weights_BT[:, 1:].sum() for _, weights_BT in halves)
    total = 0.0
    for ids_BT, weights_BT in halves:
        inputs_BT = ids_BT[:, :-1]
        targets_N = ids_BT[:, 1:].flatten()
        weights_N = weights_BT[:, 1:].flatten()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            logits_BTV = model(inputs_BT).logits
        logits_NV = logits_BTV.float().flatten(0, 1)
        losses_N = functional.cross_entropy(logits_NV, targets_N, reduction="none")
        weighted_N = losses_N * weights_N
        loss: Any = weighted_N.sum() / total_weight
        loss.backward()
        total += loss.item()
    return total


def length_of(sample: Sample) -> int:
    ids, _ = sample
    return len(ids)


class Order:
    """Batches of samples: each epoch in a new random order, by the seed."""

    def __init__(
        self,
        samples: list[Sample],
        batch_size: int,
        seed: int,
    ) -> None:
        self._samples = samples
        self._batch_size = batch_size
        self._rng = random.Random(seed)
        self._left: list[int] = []

    def next_batch(self) -> list[Sample]:
        count = len(self._samples)
        if len(self._left) < self._batch_size:
            more = self._rng.sample(range(count), count)
            self._left += more
        chosen = self._left[: self._batch_size]
        self._left = self._left[self._batch_size :]
        return [self._samples[number] for number in chosen]


class Optimizers:
    """All optimizers as one, with rates that follow the schedule."""

    def __init__(self, model: Any, recipe: Json) -> None:
        self._model = model
        self._steps = recipe["steps"]
        self._optimizers = make_optimizers(model, recipe["learning_rate"])
        self._groups = []
        for optimizer in self._optimizers:
            for group in optimizer.param_groups:
                full_rate = group["lr"]
                self._groups.append((group, full_rate))

    def step(self, step: int) -> None:
        """Uses up the gradients."""
        parameters = self._model.parameters()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        factor = schedule(step, self._steps)
        for group, full_rate in self._groups:
            group["lr"] = full_rate * factor
        for optimizer in self._optimizers:
            optimizer.step()
            optimizer.zero_grad()


def train(
    model: Any,
    samples: list[Sample],
    recipe: Json,
    events: Events,
) -> Json:
    """The last loss, the tokens seen and the loss curve.

    Raises: JobError if the loss is not a number any more.
    """
    optimizers = Optimizers(model, recipe)
    order = Order(samples, recipe["batch_size"], recipe["seed"])
    bf16 = use_bf16(recipe["precision"])
    steps = recipe["steps"]
    curve_every = max(1, steps // CURVE_POINTS)
    tokens = 0
    loss = 0.0
    curve = []
    for step in range(steps):
        done = step + 1
        batch = order.next_batch()
        loss = step_loss(model, batch, bf16=bf16)
        optimizers.step(step)
        tokens += sum(length_of(sample) for sample in batch)
        if math.isnan(loss):
            message = f"the loss became NaN at step {done}"
            raise JobError("EngineFailed", message, "lower --learning-rate")
        if step % curve_every == 0 or done == steps:
            point = (done, round(loss, 5))
            curve.append(point)
        shown_loss = round(loss, 4)
        events.progress("training", done, steps, loss=shown_loss)
    return {"loss": loss, "tokens": tokens, "loss_curve": curve}


def check_lengths(samples: list[Sample], context: int) -> None:
    longest = max(length_of(sample) for sample in samples)
    if longest > context:
        message = f"an example has {longest} tokens, the context is {context}"
        raise JobError("UsageError", message, "raise context")


def work(job: Json, events: Events) -> Json:
    start_s = time.monotonic()
    cpu_start_s = time.process_time()
    recipe = job["recipe"]
    output = Path(job["output"])
    torch.manual_seed(recipe["seed"])
    torch.set_num_threads(job["threads"])
    torch.use_deterministic_algorithms(True)
    events.emit(stage="tokenizer", done=0, total=1)
    data = Path(job["data"])
    chats = read_chats(data)
    beginning = chats[:TOKENIZER_CHATS]
    tokenizer = train_tokenizer(beginning, recipe["vocab_size"])
    model = make_model(recipe, len(tokenizer))
    backend = tokenizer.backend_tokenizer
    weight = recipe["prompt_loss_weight"]
    samples = [encode(backend, chat, weight) for chat in chats]
    check_lengths(samples, recipe["context"])
    outcome = train(model, samples, recipe, events)
    model.config.use_cache = True
    model.to(torch.bfloat16)
    model.save_pretrained(output)
    tokenizer.save_pretrained(output)
    sizes = [parameter.numel() for parameter in model.parameters()]
    parameters = sum(sizes)
    return {
        **outcome,
        "parameters": parameters,
        "wall_s": time.monotonic() - start_s,
        "cpu_s": time.process_time() - cpu_start_s,
        "peak_rss_bytes": peak_rss_bytes(),
    }


if __name__ == "__main__":
    run_worker(work)
