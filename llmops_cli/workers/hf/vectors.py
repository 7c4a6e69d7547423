"""Vectors of a Transformers model, pooled as its folder says."""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModel

from _shared.embedding_queue import StepSize, Tokens
from _shared.sentence_model import UnknownModule, read_sentence_model
from hf.loaded import DEFAULT_CONTEXT, context_of, device_of
from hf.text import HfText

# Shapes: B texts, T places of the longest of them, D numbers of a vector.

STEP = StepSize(tokens=4096, texts=64)
PADDED_TOGETHER = 16
"""Texts of about the same length, so that little of a batch is padding."""


class HfVectors:
    """A model without its head. Not thread-safe, apart from `encode_text`."""

    def __init__(self, args: argparse.Namespace) -> None:
        if args.lora or args.speculative:
            sys.exit(f"{args.name} makes vectors and no text: no adapter, no speculation")
        try:
            self._sentence = read_sentence_model(Path(args.model))
        except UnknownModule as error:
            sys.exit(str(error))
        torch.set_num_threads(args.threads or len(os.sched_getaffinity(0)))
        self._device = device_of(args.device)
        attention = {"attn_implementation": args.attention} if args.attention else {}
        model = AutoModel.from_pretrained(
            args.model, dtype=args.dtype, trust_remote_code=False, **attention
        )
        self._model: Any = model.to(self._device).eval()
        self._text = HfText(args.model)
        self.tokenizer = self._text.tokenizer
        self.encode_text = self._text.encode_text
        self.longest_token = self._text.longest_token
        self.name = args.name
        self.dimensions = int(self._model.config.hidden_size)
        self.vocabulary_size = int(self._model.get_input_embeddings().num_embeddings)
        config = self._model.config
        known = int(getattr(config, "max_position_embeddings", 0) or DEFAULT_CONTEXT)
        made_for = min(known, self._sentence.max_tokens or known)
        self.longest = context_of(made_for, args.max_model_len, None)

    def vectors(self, texts: list[Tokens]) -> list[bytes]:
        """One for each, as float32."""
        by_length = sorted(range(len(texts)), key=lambda place: len(texts[place]))
        found = [b""] * len(texts)
        for start in range(0, len(texts), PADDED_TOGETHER):
            places = by_length[start : start + PADDED_TOGETHER]
            vectors = self._together([texts[place] for place in places])
            for place, vector in zip(places, vectors, strict=True):
                found[place] = vector
        return found

    @torch.inference_mode()
    def _together(self, texts: list[Tokens]) -> list[bytes]:
        ids_BT, mask_BT = right_padded(texts)
        output = self._model(
            input_ids=ids_BT.to(self._device),
            attention_mask=mask_BT.to(self._device),
        )
        hidden_BTD = output.last_hidden_state.float().cpu()
        pooled_BD = pool(hidden_BTD, mask_BT, self._sentence.pooling)
        if self._sentence.normalizes:
            pooled_BD = torch.nn.functional.normalize(pooled_BD)
        rows = pooled_BD.numpy().astype("<f4")
        return [row.tobytes() for row in rows]


def right_padded(texts: list[Tokens]) -> tuple[torch.Tensor, torch.Tensor]:
    """ids_BT and mask_BT: texts that all begin at the first of T places."""
    width = max(map(len, texts))
    ids = [text + [0] * (width - len(text)) for text in texts]
    mask = [[1] * len(text) + [0] * (width - len(text)) for text in texts]
    return torch.tensor(ids), torch.tensor(mask)


def pool(
    hidden_BTD: torch.Tensor,
    mask_BT: torch.Tensor,
    pooling: str,
) -> torch.Tensor:
    """Shape (B, D)."""
    if pooling == "cls":
        return hidden_BTD[:, 0]
    lengths_B = mask_BT.sum(dim=1)
    if pooling == "last":
        rows_B = torch.arange(len(hidden_BTD))
        return hidden_BTD[rows_B, lengths_B - 1]
    sums_BD = (hidden_BTD * mask_BT.unsqueeze(-1)).sum(dim=1)
    return sums_BD / lengths_B.unsqueeze(-1)
