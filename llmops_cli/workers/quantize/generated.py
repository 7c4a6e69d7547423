"""Calibration samples that the model itself says when nothing is asked."""

import random
from typing import Any

import torch

from _shared.calibration import Calibration

BATCH = 8


def generated(
    model: Any,
    tokenizer: Any,
    *,
    samples: int,
    seq_len: int,
    seed: int,
) -> Calibration:
    """Each begins with a random token and goes on at temperature 1."""
    torch.manual_seed(seed)
    special = tokenizer.all_special_ids
    plain = [token for token in range(len(tokenizer)) if token not in special]
    rng = random.Random(seed)
    starts = rng.choices(plain, k=samples)
    windows: list[list[int]] = []
    for first in range(0, samples, BATCH):
        batch = starts[first : first + BATCH]
        columns = [[start] for start in batch]
        starts_BT = torch.tensor(columns, device=model.device)
        tokens_BT = model.generate(
            starts_BT,
            attention_mask=torch.ones_like(starts_BT),
            max_new_tokens=seq_len - 1,
            min_new_tokens=seq_len - 1,
            do_sample=True,
            temperature=1.0,
            use_cache=True,
            pad_token_id=0,
        )
        windows += tokens_BT.tolist()
    return Calibration(windows, documents=samples, unused_tokens=0, wanted_tokens=samples * seq_len)
