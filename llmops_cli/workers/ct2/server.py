"""Serves a CTranslate2 model over HTTP: what waits is computed as one batch of its Generator.

Usage: python workers ct2.server --model FOLDER --port N. The folder holds the converted model and
its tokenizer.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ctranslate2

from _openai.batches import StaticBatches
from _openai.completion import PendingCompletion
from _openai.front import serve
from _openai.sampling import Sampling
from _openai.serving import add_address, address_of
from ct2.context import CONTEXT_KEY
from hf.text import HfText

TYPES = {"auto": "default"}
"""Our names of number types, where CTranslate2 has another."""
MOST_CONTEXT = 1 << 20
"""A tokenizer that knows no limit writes a number beyond all of them."""
DEFAULT_CONTEXT = 4096


LEAST_FLOAT32 = 2.0**-126
"""A smaller share would be zero to CTranslate2, which takes none of that."""

NUMBERS = {
    "--max-num-seqs": 16,
    "--max-model-len": 0,
    "--threads": 0,
}
TEXTS = {
    "--name": "model",
    "--dtype": "auto",
    "--device": "auto",
}


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="ct2.server")
    parser.add_argument("--model", required=True)
    add_address(parser)
    for flag, number in NUMBERS.items():
        parser.add_argument(flag, type=int, default=number)
    for flag, text in TEXTS.items():
        parser.add_argument(flag, default=text)
    return parser.parse_args()


class Ct2Engine:
    """A Generator, its tokenizer and the batches that wait for it.

    It draws by one generator of random numbers for all, so no request can have a seed.
    """

    abilities: frozenset[str] = frozenset()
    label = "ctranslate2"

    def __init__(self, args: argparse.Namespace) -> None:
        print(f"loading {args.model}", flush=True)
        self.models = [args.name]
        self._text = HfText(args.model)
        self._generator = generator_of(args)
        folder = Path(args.model)
        self.context = context_of(folder, self._text, args.max_model_len)
        self.vocabulary_size = self._text.vocabulary_size
        self.longest_token = self._text.longest_token
        self.encode_chat = self._text.encode_chat
        self.encode_text = self._text.encode_text
        self.decode = self._text.decode
        self.has_channels = self._text.has_channels
        self._ends = set(end_tokens_of(folder, self._text))
        batches = StaticBatches(self._compute, most=args.max_num_seqs, kind=settings_of)
        self.submit = batches.submit
        self.gauges = batches.gauges
        self.failure = batches.failure

    def _compute(self, batch: list[PendingCompletion]) -> None:
        requests = [completion.request for completion in batch]
        to_names = self._text.tokenizer.convert_ids_to_tokens
        longest = max(request.max_tokens for request in requests)
        shortest = 0
        if requests[0].ignore_eos:
            shortest = longest
        prompts = [to_names(request.prompt) for request in requests]
        self._generator.generate_batch(
            prompts,
            max_length=longest,
            min_length=shortest,
            end_token=sorted(self._ends),
            include_prompt_in_result=False,
            callback=self._step_of(batch),
            **choosing(requests[0].sampling, vocabulary_size=self.vocabulary_size),
        )

    def _step_of(self, batch: list[PendingCompletion]) -> Callable[[Any], bool]:
        """Called with each new token; True ends that sequence."""

        def step(result: Any) -> bool:
            completion: PendingCompletion = batch[result.batch_id]
            token: int = result.token_id
            if token in self._ends and not completion.request.ignore_eos:
                completion.end("stop")
                return True
            return completion.put([token])

        return step


def settings_of(completion: PendingCompletion) -> tuple[float, float, int, bool]:
    """What all completions of a batch must share."""
    request = completion.request
    sampling = request.sampling
    if sampling.is_greedy:
        return 0.0, 1.0, 0, request.ignore_eos
    return sampling.temperature, sampling.top_p, sampling.top_k, request.ignore_eos


def choosing(sampling: Sampling, *, vocabulary_size: int) -> dict[str, float]:
    if sampling.is_greedy:
        return {"sampling_topk": 1}
    return {
        "sampling_temperature": sampling.temperature,
        "sampling_topk": min(sampling.top_k, vocabulary_size),
        "sampling_topp": max(sampling.top_p, LEAST_FLOAT32),
    }


def generator_of(args: argparse.Namespace) -> ctranslate2.Generator:
    compute_type = TYPES.get(args.dtype, args.dtype)
    cores = os.sched_getaffinity(0)
    threads = args.threads or len(cores)
    return ctranslate2.Generator(
        args.model,
        device=args.device,
        compute_type=compute_type,
        intra_threads=threads,
    )


def context_of(folder: Path, text: HfText, wanted: int) -> int:
    """`wanted` 0: what the model was made for.

    A folder that we converted tells it; one of somebody else's may have it of its tokenizer.
    """
    known = json_in(folder / "config.json").get(CONTEXT_KEY)
    if not known:
        known = min(int(text.tokenizer.model_max_length), MOST_CONTEXT)
        known = wanted or (known if known < MOST_CONTEXT else DEFAULT_CONTEXT)
    if wanted > known:
        sys.exit(f"--max-model-len {wanted}: the model was made for {known} tokens")
    return wanted or int(known)


def end_tokens_of(folder: Path, text: HfText) -> list[int]:
    """Those that the model's generation_config.json names, else the tokenizer's one."""
    config = json_in(folder / "generation_config.json")
    return text.end_tokens(argparse.Namespace(eos_token_id=config.get("eos_token_id")))


# A configuration is any JSON; what is read of it is converted by whoever reads it.
def json_in(file: Path) -> dict[str, Any]:
    """Nothing where there is no such file."""
    if not file.is_file():
        return {}
    found: dict[str, Any] = json.loads(file.read_text())
    return found


if __name__ == "__main__":
    arguments = parse()
    serve(Ct2Engine(arguments), address_of(arguments))
