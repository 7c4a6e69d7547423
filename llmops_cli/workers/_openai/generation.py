"""What is to be computed for one request. Standard library only."""

from dataclasses import dataclass

from _openai.sampling import Sampling


@dataclass(frozen=True, kw_only=True)
class GenerationRequest:
    """One answer that is wanted, and how it is sent."""

    model: str
    prompt: list[int]
    max_tokens: int
    sampling: Sampling
    ignore_eos: bool = False
    chat: bool = False
    stops: tuple[str, ...] = ()
    is_streamed: bool = False
    with_usage: bool = False
