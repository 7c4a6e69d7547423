"""A Transformers model ready to generate, with its tokenizer and its adapters."""

import argparse
import os
import sys
from typing import Any

import torch
from transformers import AutoModelForCausalLM, GenerationConfig

from _openai.abilities import SAMPLING
from _openai.completion import PendingCompletion
from hf.text import HfText
from hf.unpacked import dtype_of

DEFAULT_CONTEXT = 4096


class LoadedModel:
    """What every way of batching needs: the model, its names, its limits and its end tokens."""

    abilities = SAMPLING

    def __init__(self, args: argparse.Namespace, *, most_context: int | None = None) -> None:
        """`most_context`: what is taken of a longer one, if nobody asks for more."""
        print(f"loading {args.model}", flush=True)
        cores = os.sched_getaffinity(0)
        threads = args.threads or len(cores)
        torch.set_num_threads(threads)
        self.label = f"transformers ({args.batching} batches)"
        self.device = device_of(args.device)
        self.model = load_causal_lm(args.model, args.dtype, attention=args.attention)
        self.model.to(self.device)
        self.model.eval()
        adapters = self._load_adapters(args.lora)
        self.models = [args.name, *adapters]
        self.text = HfText(args.model)
        self.encode_chat = self.text.encode_chat
        self.encode_text = self.text.encode_text
        self.decode = self.text.decode
        self.has_channels = self.text.has_channels
        self.longest_token = self.text.longest_token
        self.vocabulary_size = int(self.model.get_input_embeddings().num_embeddings)
        self.ends = self.text.end_tokens(self.model.generation_config)
        # What a folder recommends, such as a penalty, would change answers behind a request's back.
        plain: Any = GenerationConfig  # its constructor has no types
        self.model.generation_config = plain()
        known = int(getattr(self.model.config, "max_position_embeddings", 0) or DEFAULT_CONTEXT)
        self.context = context_of(known, args.max_model_len, most_context)

    def _load_adapters(self, pairs: str) -> list[str]:
        """The names in NAME=FOLDER,NAME=FOLDER; each becomes a model of its own to clients."""
        names = []
        for pair in pairs.split(","):
            if not pair:
                continue
            name, _, path = pair.partition("=")
            self.model.load_adapter(path, adapter_name=name)
            names.append(name)
        return names


def context_of(known: int, wanted: int, most: int | None) -> int:
    """`wanted` 0: what the model was made for, up to `most`."""
    if wanted > known:
        sys.exit(f"--max-model-len {wanted}: the model was made for {known} tokens")
    if wanted:
        return wanted
    return min(known, most or known)


def load_causal_lm(
    path: str,
    dtype: str,
    *,
    attention: str | None = None,
) -> Any:
    """Ends the worker for weights that lack some: those would be random numbers.

    So would the experts of an artifact be whose quantizer wrote them by names of its own.
    """
    more = {"attn_implementation": attention} if attention else {}
    # Any: with `output_loading_info` it is a pair, which its annotation does not tell
    loaded: Any = AutoModelForCausalLM.from_pretrained(
        path, dtype=dtype_of(path, dtype), trust_remote_code=False, output_loading_info=True, **more
    )
    model, loading = loaded
    missing = sorted(loading["missing_keys"])
    if missing:
        sys.exit(f"the weights lack {len(missing)} tensors, such as {missing[0]}")
    return model


def device_of(wanted: str) -> str:
    if wanted != "auto":
        return wanted
    return "cuda" if torch.cuda.is_available() else "cpu"


def up_to_end(
    tokens: list[int],
    ends: list[int],
    completion: PendingCompletion,
) -> tuple[list[int], bool]:
    """The tokens before the first end token, and whether there was one that counts."""
    if completion.request.ignore_eos:
        return tokens, False
    for place, token in enumerate(tokens):
        if token in ends:
            return tokens[:place], True
    return tokens, False
