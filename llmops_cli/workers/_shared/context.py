"""What a model's context cannot hold, told before anything is tokenized. Standard library only."""


def too_long(context: int, size: str) -> str:
    """The refusal, in vLLM's words. `size`: with its unit, as in `300 tokens`."""
    limit = f"This model's maximum context length is {context} tokens."
    return f"{limit} However, your prompt has {size}; please reduce it."


def is_beyond(
    characters: int,
    *,
    context: int,
    longest_token: int,
) -> bool:
    """Whether a text must be too long, even were each token the vocabulary's longest.

    To tokenize it first would take seconds. `longest_token`: in characters.
    """
    return characters > context * longest_token
