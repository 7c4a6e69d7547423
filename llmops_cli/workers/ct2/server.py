"""Serves a CTranslate2 model over HTTP: what waits is computed as one batch of its Generator.

Usage: python workers ct2.server --model FOLDER --port N. The folder holds the converted model and
its tokenizer.
"""

import argparse
import os
from collections.abc import Callable
from typing import Any

import ctranslate2

from _openai.batches import StaticBatches
from _openai.completion import PendingCompletion
from _openai.front import serve
from hf.text import HfText

TYPES = {"auto": "default"}
"""Our names of number types, where CTranslate2 has another."""
MOST_CONTEXT = 1 << 20


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
    parser.add_argument("--port", type=int, required=True)
    for flag, number in NUMBERS.items():
        parser.add_argument(flag, type=int, default=number)
    for flag, text in TEXTS.items():
        parser.add_argument(flag, default=text)
    return parser.parse_args()


class Ct2Engine:
    """A Generator, its tokenizer and the batches that wait for it."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.models = [args.name]
        self._text = HfText(args.model)
        compute_type = TYPES.get(args.dtype, args.dtype)
        cores = os.sched_getaffinity(0)
        threads = args.threads or len(cores)
        self._generator = ctranslate2.Generator(
            args.model,
            device=args.device,
            compute_type=compute_type,
            intra_threads=threads,
        )
        known = int(self._text.tokenizer.model_max_length)
        longest = min(known, MOST_CONTEXT)
        self.context = args.max_model_len or longest
        self.encode_chat = self._text.encode_chat
        self.encode_text = self._text.encode_text
        self.decode = self._text.decode
        end_tokens = self._text.end_tokens()
        self._ends = set(end_tokens)
        batches = StaticBatches(self._compute, most=args.max_num_seqs, kind=settings_of)
        self.submit = batches.submit
        self.gauges = batches.gauges

    def _compute(self, batch: list[PendingCompletion]) -> None:
        first = batch[0]
        to_names = self._text.tokenizer.convert_ids_to_tokens
        longest = max(completion.max_tokens for completion in batch)
        shortest = 0
        if first.ignore_eos:
            shortest = longest
        prompts = [to_names(completion.prompt) for completion in batch]
        self._generator.generate_batch(
            prompts,
            max_length=longest,
            min_length=shortest,
            include_prompt_in_result=False,
            callback=self._step_of(batch),
            **sampling_of(first),
        )

    def _step_of(self, batch: list[PendingCompletion]) -> Callable[[Any], bool]:
        """Called with each new token; True ends that sequence."""

        def step(result: Any) -> bool:
            completion: PendingCompletion = batch[result.batch_id]
            token: int = result.token_id
            if token in self._ends and not completion.ignore_eos:
                completion.end("stop")
                return True
            return completion.put([token])

        return step


def settings_of(completion: PendingCompletion) -> tuple[float, float, int, bool]:
    """What all completions of a batch must share."""
    return completion.temperature, completion.top_p, completion.top_k, completion.ignore_eos


def sampling_of(completion: PendingCompletion) -> dict[str, float]:
    if completion.temperature <= 0:
        return {"sampling_topk": 1}
    return {
        "sampling_temperature": completion.temperature,
        "sampling_topk": completion.top_k,
        "sampling_topp": completion.top_p,
    }


if __name__ == "__main__":
    arguments = parse()
    serve(Ct2Engine(arguments), arguments.port)
