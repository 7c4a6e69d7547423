"""A Transformers model ready to generate, with its tokenizer and its adapters."""

import argparse
import os
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from _openai.completion import PendingCompletion
from hf.text import HfText

DEFAULT_CONTEXT = 4096


class LoadedModel:
    """What every way of batching needs: the model, its names, its context and its end tokens."""

    def __init__(self, args: argparse.Namespace) -> None:
        cores = os.sched_getaffinity(0)
        threads = args.threads or len(cores)
        torch.set_num_threads(threads)
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
        generation_config = self.model.generation_config
        self.ends = self.text.end_tokens(generation_config)
        config = self.model.config
        longest = getattr(config, "max_position_embeddings", 0)
        self.context = int(longest or DEFAULT_CONTEXT)

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


def load_causal_lm(
    path: str,
    dtype: str,
    *,
    attention: str | None = None,
) -> Any:
    more = {"attn_implementation": attention} if attention else {}
    return AutoModelForCausalLM.from_pretrained(path, dtype=dtype, trust_remote_code=False, **more)


def device_of(wanted: str) -> str:
    if wanted != "auto":
        return wanted
    return "cuda" if torch.cuda.is_available() else "cpu"


def sampling_of(
    temperature: float,
    top_p: float,
    top_k: int,
) -> dict[str, Any]:
    """The settings as arguments of `generate`."""
    if temperature <= 0:
        return {"do_sample": False}
    return {"do_sample": True, "temperature": temperature, "top_p": top_p, "top_k": top_k}


def up_to_end(
    tokens: list[int],
    ends: list[int],
    completion: PendingCompletion,
) -> tuple[list[int], bool]:
    """The tokens before the first end token, and whether there was one that counts."""
    if completion.ignore_eos:
        return tokens, False
    for place, token in enumerate(tokens):
        if token in ends:
            return tokens[:place], True
    return tokens, False
