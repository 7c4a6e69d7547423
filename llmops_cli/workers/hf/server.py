"""Serves a Transformers model over HTTP, with its continuous batching or in plain static batches.

Usage: python workers hf.server --model FOLDER --port N --batching static. Static batches are the
baseline: what waits is generated together, padded, until the longest answer ends. Speculation is
per sequence, so its batches hold one.
"""

import argparse
import os
from pathlib import Path

from _openai.engine import TokenEngine
from _openai.front import serve
from _openai.serving import add_address, address_of
from _openai.vectors import serve_vectors
from _shared.sentence_model import makes_vectors

NUMBERS = {
    "--max-num-seqs": 16,
    "--max-model-len": 0,
    "--threads": 0,
}
TEXTS = {
    "--name": "model",
    "--dtype": "auto",
    "--attention": None,
    "--device": "auto",
    "--speculative": "",
    "--lora": "",
}


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="hf.server")
    parser.add_argument("--model", required=True)
    add_address(parser)
    parser.add_argument("--batching", choices=("continuous", "static"), default="continuous")
    for flag, number in NUMBERS.items():
        parser.add_argument(flag, type=int, default=number)
    for flag, text in TEXTS.items():
        parser.add_argument(flag, default=text)
    return parser.parse_args()


def engine_of(args: argparse.Namespace) -> TokenEngine:
    """The engine of the wanted batching; torch is imported only when the arguments are right."""
    if args.batching == "static":
        from hf.static import StaticEngine

        return StaticEngine(args)
    from hf.continuous import ContinuousEngine

    return ContinuousEngine(args)


def main(args: argparse.Namespace) -> None:
    if makes_vectors(Path(args.model)):
        from hf.vectors import STEP, HfVectors

        serve_vectors(HfVectors(args), STEP, address_of(args))
    else:
        serve(engine_of(args), address_of(args))


if __name__ == "__main__":
    main(parse())
    os._exit(0)  # the batching thread of Transformers is no daemon and would wait for requests
