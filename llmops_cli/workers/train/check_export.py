"""A fresh process that knows nothing of a run but the model folder that it made.

Usage: python workers train.check_export, a question as JSON on stdin, the answer on stdout: the
loss on some rows, and a few generated tokens.
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


@torch.no_grad()
def answer(asked: Json) -> Json:
    """Raises: ValueError if the model says anything that is no number."""
    folder = Path(asked["folder"])
    torch.set_num_threads(asked["threads"])
    AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False)
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
    return {"loss": loss, "generated": new}


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
