"""One choice of one request, from queue to last token, and what each step adds to it."""

import time
from collections.abc import Callable
from typing import Literal, NamedTuple

from llamacpp.server.detokenizer import Detokenizer
from llamacpp.server.prefixes import Tokens
from llamacpp.server.sampling import Sampler, SamplingParams, TokenLogprob

FinishReason = Literal["stop", "length", "error", "tool_calls"]


class GenerationFailure(NamedTuple):
    """Why a generation ended without its text."""

    reason: str
    is_clients_fault: bool = False


class StepOutput:
    """What one step produced for one generation; `finish` is set if it was the last."""

    __slots__ = ("failure", "finish", "generation", "logprobs", "text")

    def __init__(
        self,
        generation: "Generation",
        text: str,
        logprobs: list[TokenLogprob],
        *,
        finish: FinishReason | None = None,
        failure: GenerationFailure | None = None,
    ) -> None:
        self.generation = generation
        self.text = text
        self.logprobs = logprobs
        self.finish = finish
        self.failure = failure


class Generation:
    """Tokens, text and times of one choice.

    The scheduler's thread writes all but `cancelled`, which the HTTP side sets when nobody listens.
    """

    def __init__(
        self,
        prompt: Tokens,
        params: SamplingParams,
        *,
        max_tokens: int,
        stops: list[str],
        deliver: Callable[[StepOutput], None],
        adapter: int = 0,
        index: int = 0,
        shown: frozenset[int] = frozenset(),
        scores_prompt: bool = False,
    ) -> None:
        """`index` is its number among the choices of its request.

        `shown`: control tokens that are text in its answer. `scores_prompt`: the prompt's tokens
        get log-probabilities too, from the second one on.
        """
        self.params = params
        self.max_tokens = max_tokens
        self.deliver = deliver
        self.adapter = adapter
        self.index = index
        self.shown = shown
        self.scores_prompt = scores_prompt
        self.prompt_logprobs: list[TokenLogprob] = []
        self.cancelled = False
        self.tokens = list(prompt)
        self.prompt_tokens = len(prompt)
        self.output_tokens = 0
        self.cached_tokens: int | None = None
        self.detokenizer = Detokenizer(stops)
        self.sampler: Sampler | None = None  # kept over a preemption, with its random state
        self.unsent_logprobs: list[TokenLogprob] = []
        self.finish: FinishReason | None = None
        self.queued_at = time.monotonic()
        self.first_at: float | None = None

    @property
    def ttft_s(self) -> float | None:
        """From the queue to the first token."""
        if self.first_at is None:
            return None
        return self.first_at - self.queued_at

    def close(self) -> None:
        if self.sampler is not None:
            self.sampler.close()
