"""Continuous batching by Transformers: requests join and leave at every step."""

import argparse
import sys
import time
from itertools import count
from typing import Any

import torch
from transformers import ContinuousBatchingConfig, GenerationConfig
from transformers.generation.continuous_batching.cb_logits_processors import (
    ContinuousBatchingLogitsProcessor,
)

from _openai.completion import PendingCompletion
from hf.loaded import LoadedModel, up_to_end
from hf.picking import Row, is_plain, picked

PAGE_TOKENS = 256
MOST_CONTEXT = 4096
"""The cache holds all of each sequence's context; by default it takes most of the memory."""
MOST_STEP_TOKENS = 1024
NO_ENDS = [-1]
"""No token has this number, so nothing ends an answer early."""


class ContinuousEngine(LoadedModel):
    """One manager of Transformers. Requests of all settings share its batches."""

    def __init__(self, args: argparse.Namespace) -> None:
        super().__init__(args, most_context=MOST_CONTEXT)
        self._numbers = count(1)
        self._picking = RequestPicking(self.ends)
        self._manager = self._in_memory(args.max_num_seqs)
        failure = self.failure()
        if failure is not None:
            sys.exit(failure)

    def gauges(self) -> dict[str, float]:
        return {"running": len(self._picking.running)}

    def failure(self) -> str | None:
        """Why nothing is computed any more; None while the batching thread lives."""
        if self._manager.is_running():
            return None
        fatal = self._manager.background_thread_status.fatal_error
        return f"the batching thread ended: {fatal}"

    def submit(self, completion: PendingCompletion) -> None:
        identity = f"r{next(self._numbers)}"
        request = completion.request
        follower = Follower(self, identity, completion)
        completion.when_cancelled = follower.leave
        self._picking.running[identity] = Row(request=request, said=[])
        self._manager.register_result_handler(identity, follower.on_result)
        accepted = self._manager.add_request(
            request.prompt,
            request_id=identity,
            max_new_tokens=request.max_tokens,
            streaming=True,
            eos_token_id=self.ends or NO_ENDS,
        )
        if accepted is None:
            self.forget(identity)
            completion.end("error", "the batching thread does not take requests")

    def forget(self, identity: str) -> bool:
        """Whether it was still running."""
        return self._picking.running.pop(identity, None) is not None

    def leave(self, identity: str) -> None:
        if self.forget(identity):
            self._manager.cancel_request(identity)

    def _in_memory(self, most: int) -> Any:
        """With a cache for all of `most` sequences, or for half as often as it takes to fit."""
        pages = -(-self.context // PAGE_TOKENS)
        room = most * pages
        manager = self._start_manager(most, room)
        while _lacks_memory(manager) and room > pages:
            room = max(pages, room // 2)
            manager = self._start_manager(most, room)
        if room < most * pages:
            holds = f"the cache holds {room * PAGE_TOKENS} tokens"
            sys.stderr.write(f"{holds}: memory is short of {most} times {self.context}\n")
        return manager

    def _start_manager(self, most: int, room: int) -> Any:
        config: Any = GenerationConfig.from_model_config(self.model.config)
        config.update(do_sample=False, eos_token_id=self.ends or NO_ENDS, pad_token_id=0)
        cache = ContinuousBatchingConfig(
            page_size=PAGE_TOKENS,
            num_blocks=room,
            max_requests_per_batch=most,
            max_batch_tokens=max(MOST_STEP_TOKENS, most),
            use_cuda_graph=False,  # a captured graph would not draw anew
        )
        manager = self.model.init_continuous_batching(
            generation_config=config, continuous_batching_config=cache
        )
        processors = manager.logit_processor
        processors.logits_processor.append(self._picking)
        processors.tensors_required += 1
        processors.do_processing = True
        manager.start()
        while manager.batch_processor is None and manager.is_running():
            time.sleep(0.05)
        return manager


def _lacks_memory(manager: Any) -> bool:
    """Whether Transformers found, before it took any, that the cache has no room."""
    return isinstance(manager.background_thread_status.fatal_error, MemoryError)


class RequestPicking(ContinuousBatchingLogitsProcessor):
    """Each row's token by its own request.

    Transformers' own processors know three settings and no seed. It names the rows of a step
    before it computes them (`prepare_tensor_args`), in the thread that computes.
    """

    def __init__(self, ends: list[int]) -> None:
        self.supported_kwargs: dict[str, type] = {}
        self.ignored_kwargs: tuple[str, ...] = ()
        self._ends = ends
        self._step: list[Row | None] = []
        self.running: dict[str, Row] = {}

    def fill_defaults(self, int32_tensor: torch.Tensor) -> None:
        int32_tensor.fill_(0)

    def prepare_tensor_args(self, requests_with_new_token: list[Any]) -> torch.Tensor:
        identities = [future.state.request_id for future in requests_with_new_token]
        self._step = [self.running.get(identity) for identity in identities]
        return torch.zeros(len(self._step), dtype=torch.int32)

    def __call__(self, scores: torch.Tensor, tensor_arg: torch.Tensor) -> torch.Tensor:
        """Shapes: scores (B, V); there may be rows of padding behind those of the step."""
        found = picked(scores, self._step, ends=self._ends)
        for place, row in enumerate(self._step):
            if row is not None and not is_plain(row.request):
                row.said.append(int(found[place].argmax()))
        return found


class Follower:
    """Hands the results of one request to its completion, and cancels what nobody wants."""

    def __init__(
        self,
        engine: ContinuousEngine,
        identity: str,
        completion: PendingCompletion,
    ) -> None:
        self._engine = engine
        self._identity = identity
        self._completion = completion
        self._seen = 0

    def on_result(self, result: Any) -> None:
        completion = self._completion
        fresh = result.generated_tokens[self._seen :]
        self._seen = len(result.generated_tokens)
        tokens, ended = up_to_end(fresh, self._engine.ends, completion)
        completion.put(tokens)
        is_computed = result.is_finished()
        if result.error:
            reason = str(result.error)
            completion.end("error", reason[:300])
        elif ended or is_computed:
            completion.end("stop")
        if is_computed:
            self._engine.forget(self._identity)
        elif completion.is_over:
            self.leave()

    def leave(self) -> None:
        """Its row and its pages are free for others from the next step on."""
        self._engine.leave(self._identity)
