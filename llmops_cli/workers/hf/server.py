"""Serves a Transformers model over HTTP, with its continuous batching or in plain static batches.

Usage: python workers hf.server --model FOLDER --port N --batching static. Static batches are the
baseline: what waits is generated together, padded, until the longest answer ends. Speculation is
per sequence, so its batches hold one.
"""

import argparse
import os
import sys
import threading
import time
from typing import Any

import torch
from transformers import AutoModelForCausalLM, ContinuousBatchingConfig, GenerationConfig, set_seed
from transformers.generation.streamers import BaseStreamer

from _shared.batches import StaticBatches
from _shared.openai import Job, serve
from hf.text import HfText

PAGE = 256
MOST_CONTEXT = 4096
MOST_STEP_TOKENS = 1024
"""The cache has room for each sequence's context, up to 4,096 tokens; by default it takes most of
the memory.
"""


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="hf.server")
    parser.add_argument("--model", required=True)
    parser.add_argument("--name", default="model")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--batching", choices=("continuous", "static"), default="continuous")
    parser.add_argument("--max-num-seqs", type=int, default=16)
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--attention", default=None)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--speculative", default="")
    parser.add_argument("--lora", default="")
    return parser.parse_args()


class Loaded:
    """The model, its tokenizer and what both engines need of them."""

    def __init__(self, args: argparse.Namespace) -> None:
        torch.set_num_threads(args.threads or len(os.sched_getaffinity(0)))
        device = (
            args.device if args.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
        )
        attention = {"attn_implementation": args.attention} if args.attention else {}
        self.model: Any = AutoModelForCausalLM.from_pretrained(
            args.model, dtype=args.dtype, trust_remote_code=False, **attention
        )
        self.model.to(device).eval()
        self.device = device
        self.text = HfText(args.model)
        self.models = [args.name]
        for pair in filter(None, args.lora.split(",")):
            name, _, path = pair.partition("=")
            self.model.load_adapter(path, adapter_name=name)
            self.models.append(name)
        self.context = int(getattr(self.model.config, "max_position_embeddings", 0) or 4096)
        self.ends = self.text.end_tokens(self.model.generation_config)
        self.encode_chat = self.text.encode_chat
        self.encode_text = self.text.encode_text
        self.decode = self.text.decode


def sampling(temperature: float, top_p: float, top_k: int) -> dict[str, Any]:
    if temperature <= 0:
        return {"do_sample": False}
    return {"do_sample": True, "temperature": temperature, "top_p": top_p, "top_k": top_k or 0}


class Stream(BaseStreamer):
    """Tokens of a whole batch as they come. The first call has the prompts."""

    def __init__(self, jobs: list[Job], ends: set[int]) -> None:
        self._jobs = jobs
        self._ends = ends
        self._prompted = False

    def put(self, value: torch.Tensor) -> None:
        if not self._prompted:
            self._prompted = True
            return
        rows = value.reshape(len(self._jobs), -1).tolist()
        for job, row in zip(self._jobs, rows, strict=True):
            for token in row:
                if token in self._ends and not job.ignore_eos:
                    job.end("stop")
                    break
                if job.put([token]):
                    break

    def end(self) -> None:
        pass


class Static(Loaded):
    def __init__(self, args: argparse.Namespace) -> None:
        super().__init__(args)
        kind, _, rest = args.speculative.partition(":")
        self._assisted: dict[str, Any] = {}
        if kind == "ngram":
            self._assisted = {"prompt_lookup_num_tokens": int(rest)}
        elif kind == "draft":
            path, _, tokens = rest.rpartition(":")
            draft: Any = AutoModelForCausalLM.from_pretrained(
                path, dtype=args.dtype, trust_remote_code=False
            )
            draft.generation_config.num_assistant_tokens = int(tokens)
            self._assisted = {"assistant_model": draft.to(self.device).eval()}
        most = 1 if self._assisted else args.max_num_seqs
        self._batches = StaticBatches(
            self._run,
            most=most,
            kind=lambda job: (
                job.model,
                job.temperature,
                job.top_p,
                job.top_k,
                job.ignore_eos,
                job.seed,
            ),
        )
        self.submit = self._batches.submit
        self.gauges = self._batches.gauges

    @torch.inference_mode()
    def _run(self, jobs: list[Job]) -> None:
        first = jobs[0]
        if len(self.models) > 1:
            if first.model == self.models[0]:
                self.model.disable_adapters()
            else:
                self.model.enable_adapters()
                self.model.set_adapter(first.model)
        if first.seed is not None:
            set_seed(int(first.seed))
        width = max(len(job.prompt) for job in jobs)
        pad = self.ends[0] if self.ends else 0
        ids = torch.tensor(
            [[pad] * (width - len(job.prompt)) + job.prompt for job in jobs], device=self.device
        )
        mask = torch.tensor(
            [[0] * (width - len(j.prompt)) + [1] * len(j.prompt) for j in jobs], device=self.device
        )
        longest = max(job.max_tokens for job in jobs)
        self.model.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=longest,
            min_new_tokens=longest if first.ignore_eos else None,
            eos_token_id=None if first.ignore_eos else self.ends or None,
            pad_token_id=pad,
            use_cache=True,
            streamer=Stream(jobs, set(self.ends)),
            **self._assisted,
            **sampling(first.temperature, first.top_p, first.top_k),
        )


class Continuous(Loaded):
    """Requests join and leave at every step; Transformers schedules them over a paged cache."""

    def __init__(self, args: argparse.Namespace) -> None:
        super().__init__(args)
        self._jobs: dict[str, Job] = {}
        self._most = args.max_num_seqs
        self._numbers = 0
        self._lock = threading.Lock()
        self._managers: dict[tuple[float, float, int], Any] = {}
        manager = self._manager(0.0, 1.0, 0)
        while manager.batch_processor is None and manager.is_running():
            time.sleep(0.05)
        if not manager.is_running():
            sys.exit(
                f"the batching thread ended at its start: {manager.background_thread_status.fatal_error}"
            )

    def gauges(self) -> dict[str, float]:
        return {"running": len(self._jobs)}

    def submit(self, job: Job) -> None:
        with self._lock:
            self._numbers += 1
            identity = f"r{self._numbers}"
        self._jobs[identity] = job
        sent = 0

        def on_result(result: Any) -> None:
            nonlocal sent
            fresh = result.generated_tokens[sent:]
            sent = len(result.generated_tokens)
            ended = next(
                (i for i, token in enumerate(fresh) if token in self.ends and not job.ignore_eos),
                None,
            )
            done = job.put(fresh if ended is None else fresh[:ended])
            if result.error:
                job.end("error", str(result.error)[:300])
            elif ended is not None or result.is_finished():
                job.end("stop")
            if (
                (done or job.finished)
                and self._jobs.pop(identity, None)
                and not result.is_finished()
            ):
                manager.cancel_request(identity)

        manager = self._manager(job.temperature, job.top_p, job.top_k)
        manager.register_result_handler(identity, on_result)
        accepted = manager.add_request(
            job.prompt,
            request_id=identity,
            max_new_tokens=job.max_tokens,
            streaming=True,
            eos_token_id=[-1] if job.ignore_eos or not self.ends else self.ends,
        )
        if accepted is None:
            self._jobs.pop(identity, None)
            job.end("error", "the batching thread does not take requests")

    def _manager(self, temperature: float, top_p: float, top_k: int) -> Any:
        """One per sampling setting: a setting belongs to the whole batch."""
        key = (temperature, top_p, top_k)
        if key not in self._managers:
            if self._managers:  # only one may own the model's cache
                self._managers.popitem()[1].stop(block=True)
            config = GenerationConfig.from_model_config(self.model.config)
            config.update(**sampling(*key), eos_token_id=self.ends or [-1], pad_token_id=0)
            pages = -(-min(self.context, MOST_CONTEXT) // PAGE)
            cache = ContinuousBatchingConfig(
                page_size=PAGE,
                num_blocks=self._most * pages,
                max_requests_per_batch=self._most,
                max_batch_tokens=max(MOST_STEP_TOKENS, self._most),
            )
            manager = self.model.init_continuous_batching(
                generation_config=config, continuous_batching_config=cache
            )
            manager.start()
            self._managers[key] = manager
        return self._managers[key]


if __name__ == "__main__":
    arguments = parse()
    serve((Static if arguments.batching == "static" else Continuous)(arguments), arguments.port)
    os._exit(0)  # the batching thread of Transformers is no daemon and would wait for requests
