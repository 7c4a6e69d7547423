"""Serves a CTranslate2 model over HTTP: what waits is computed as one batch of its Generator.

Usage: python workers ct2.server --model FOLDER --port N. The folder holds the converted model and its
tokenizer.
"""

import argparse
import os

import ctranslate2

from _shared.batches import StaticBatches
from _shared.openai import Job, serve
from hf.text import HfText

TYPES = {"auto": "default", "float32": "float32", "float16": "float16", "bfloat16": "bfloat16"}


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="ct2.server")
    parser.add_argument("--model", required=True)
    parser.add_argument("--name", default="model")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--max-num-seqs", type=int, default=16)
    parser.add_argument("--max-model-len", type=int, default=0)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--device", default="auto")
    return parser.parse_args()


class Engine:
    def __init__(self, args: argparse.Namespace) -> None:
        self.models = [args.name]
        self._text = HfText(args.model)
        self._generator = ctranslate2.Generator(
            args.model,
            device=args.device,
            compute_type=TYPES.get(args.dtype, args.dtype),
            intra_threads=args.threads or len(os.sched_getaffinity(0)),
        )
        self.context = args.max_model_len or min(
            int(self._text.tokenizer.model_max_length), 1 << 20
        )
        self.encode_chat = self._text.encode_chat
        self.encode_text = self._text.encode_text
        self.decode = self._text.decode
        self._ends = set(self._text.end_tokens())
        self._batches = StaticBatches(self._run, most=args.max_num_seqs, kind=self._kind)
        self.submit = self._batches.submit
        self.gauges = self._batches.gauges

    def _kind(self, job: Job) -> tuple[float, float, int, bool]:
        return job.temperature, job.top_p, job.top_k, job.ignore_eos

    def _run(self, jobs: list[Job]) -> None:
        first = jobs[0]
        longest = max(job.max_tokens for job in jobs)

        def step(result: "ctranslate2.GenerationStepResult") -> bool:
            job = jobs[result.batch_id]
            if result.token_id in self._ends and not job.ignore_eos:
                job.end("stop")
                return True
            return job.put([result.token_id])

        sampling = {"sampling_topk": 1}
        if first.temperature > 0:
            sampling = {
                "sampling_temperature": first.temperature,
                "sampling_topk": first.top_k or 0,
                "sampling_topp": first.top_p,
            }
        self._generator.generate_batch(
            [self._text.tokenizer.convert_ids_to_tokens(job.prompt) for job in jobs],
            max_length=longest,
            min_length=longest if first.ignore_eos else 0,
            include_prompt_in_result=False,
            callback=step,
            **sampling,
        )


if __name__ == "__main__":
    arguments = parse()
    serve(Engine(arguments), arguments.port)
