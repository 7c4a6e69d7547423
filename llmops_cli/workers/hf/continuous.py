"""Continuous batching by Transformers: requests join and leave at every step."""

import argparse
import sys
import threading
import time
from itertools import count
from typing import Any

from transformers import ContinuousBatchingConfig, GenerationConfig

from _openai.completion import PendingCompletion
from hf.loaded import LoadedModel, sampling_of, up_to_end

PAGE_TOKENS = 256
MOST_CONTEXT = 4096
"""The cache holds so much of each sequence's context; by default it takes most of the memory."""
MOST_STEP_TOKENS = 1024
NO_ENDS = [-1]
"""No token has this number, so nothing ends an answer early."""

SamplingSettings = tuple[float, float, int]
"""Temperature, top_p and top_k, which belong to a whole batch."""


class ContinuousEngine(LoadedModel):
    """One manager of Transformers at a time, for the sampling settings asked last."""

    def __init__(self, args: argparse.Namespace) -> None:
        super().__init__(args)
        self._most = args.max_num_seqs
        self._running: dict[str, PendingCompletion] = {}
        self._numbers = count(1)
        self._lock = threading.Lock()
        self._manager: Any = None
        self._settings: SamplingSettings | None = None
        manager = self._manager_for((0.0, 1.0, 0))
        while manager.batch_processor is None and manager.is_running():
            time.sleep(0.05)
        if not manager.is_running():
            fatal = manager.background_thread_status.fatal_error
            sys.exit(f"the batching thread ended at its start: {fatal}")

    def gauges(self) -> dict[str, float]:
        return {"running": len(self._running)}

    def submit(self, completion: PendingCompletion) -> None:
        with self._lock:
            identity = f"r{next(self._numbers)}"
        self._running[identity] = completion
        settings = (completion.temperature, completion.top_p, completion.top_k)
        manager = self._manager_for(settings)
        follower = _Follower(self, manager, identity, completion)
        manager.register_result_handler(identity, follower.on_result)
        ends = self.ends
        if completion.ignore_eos or not ends:
            ends = NO_ENDS
        accepted = manager.add_request(
            completion.prompt,
            request_id=identity,
            max_new_tokens=completion.max_tokens,
            streaming=True,
            eos_token_id=ends,
        )
        if accepted is None:
            self.forget(identity)
            completion.end("error", "the batching thread does not take requests")

    def forget(self, identity: str) -> bool:
        """Whether it was still running."""
        found = self._running.pop(identity, None)
        return found is not None

    def _manager_for(self, settings: SamplingSettings) -> Any:
        """Only one manager may own the model's cache, so another setting waits for the last one."""
        if settings != self._settings:
            if self._manager is not None:
                self._manager.stop(block=True)
            self._manager = self._start_manager(settings)
            self._settings = settings
        return self._manager

    def _start_manager(self, settings: SamplingSettings) -> Any:
        model_config = self.model.config
        config: Any = GenerationConfig.from_model_config(model_config)
        sampling = sampling_of(*settings)
        ends = self.ends or NO_ENDS
        config.update(**sampling, eos_token_id=ends, pad_token_id=0)
        context = min(self.context, MOST_CONTEXT)
        pages = -(-context // PAGE_TOKENS)
        cache = ContinuousBatchingConfig(
            page_size=PAGE_TOKENS,
            num_blocks=self._most * pages,
            max_requests_per_batch=self._most,
            max_batch_tokens=max(MOST_STEP_TOKENS, self._most),
        )
        manager = self.model.init_continuous_batching(
            generation_config=config, continuous_batching_config=cache
        )
        manager.start()
        return manager


class _Follower:
    """Hands the results of one request to its completion, and cancels what nobody wants."""

    def __init__(
        self,
        engine: ContinuousEngine,
        manager: Any,
        identity: str,
        completion: PendingCompletion,
    ) -> None:
        self._engine = engine
        self._manager = manager
        self._identity = identity
        self._completion = completion
        self._seen = 0

    def on_result(self, result: Any) -> None:
        completion = self._completion
        fresh = result.generated_tokens[self._seen :]
        self._seen = len(result.generated_tokens)
        tokens, ended = up_to_end(fresh, self._engine.ends, completion)
        is_enough = completion.put(tokens)
        if result.error:
            reason = str(result.error)
            completion.end("error", reason[:300])
        elif ended or result.is_finished():
            completion.end("stop")
        if not (is_enough or completion.finished):
            return
        was_running = self._engine.forget(self._identity)
        if was_running and not result.is_finished():
            self._manager.cancel_request(self._identity)
