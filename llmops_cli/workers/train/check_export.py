"""A fresh process that knows nothing of a run but the model folder that it made.

Usage: python workers train.check_export, a question as JSON on stdin, the answer on stdout: the
loss on some rows, a few generated tokens, and answers to questions of the data.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

from _shared.protocol import Json
from train.data.batch import Batch
from train.loss import forward, loss_sum

NEW_TOKENS = 8
PROMPT_TOKENS = 4
ANSWER_TOKENS = 32


@torch.no_grad()
def answer(asked: Json) -> Json:
    """Raises: ValueError if the model says anything that is no number."""
    folder = Path(asked["folder"])
    torch.set_num_threads(asked["threads"])
    tokenizer: Any = AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False)
    load: Any = AutoModelForCausalLM.from_pretrained  # what it returns has no types
    model = load(str(folder), dtype=torch.float32)
    model.eval()
    batch = _batch(asked)
    logits_BTV = forward(model, batch)
    if not torch.isfinite(logits_BTV).all():
        raise ValueError("its logits are not all numbers")
    loss = float(loss_sum(logits_BTV, batch)) / max(batch.weight, 1.0)
    prompt = batch.ids_BT[:1, :PROMPT_TOKENS]
    generated = model.generate(
        prompt,
        attention_mask=torch.ones_like(prompt),
        max_new_tokens=NEW_TOKENS,
        do_sample=False,
        pad_token_id=0,
    )
    new = generated[0, prompt.shape[1] :].tolist()
    if not new:
        raise ValueError("it generates nothing")
    answers = [_answered(model, tokenizer, question) for question in asked["questions"]]
    return {"loss": loss, "generated": new, "answers": answers}


def _answered(model: Any, tokenizer: Any, question: list[int]) -> Json:
    """What it says, greedily, as far as its context goes."""
    prompt = torch.tensor([question])
    context = getattr(model.config, "max_position_embeddings", None)
    room = ANSWER_TOKENS if context is None else min(ANSWER_TOKENS, context - len(question))
    said: list[int] = []
    if room > 0:
        generated = model.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            max_new_tokens=room,
            do_sample=False,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=0,
        )
        said = generated[0, prompt.shape[1] :].tolist()
    return {
        "question": tokenizer.decode(question, skip_special_tokens=True),
        "answer": tokenizer.decode(said, skip_special_tokens=True),
    }


def _batch(asked: Json) -> Batch:
    ids_BT = torch.tensor(asked["ids"])
    positions_BT = torch.arange(ids_BT.shape[1]).expand(ids_BT.shape)
    targets_BT = torch.tensor(asked["targets"])
    weights_BT = torch.tensor(asked["weights"])
    return Batch(ids_BT, targets_BT, weights_BT, positions_BT, 1, ())


if __name__ == "__main__":
    quiet: Any = logging  # its functions have no types
    quiet.set_verbosity_error()
    quiet.disable_progress_bar()
    print(json.dumps(answer(json.load(sys.stdin))))
