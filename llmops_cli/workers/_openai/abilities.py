"""What an engine can do of what is not asked of each. Standard library only."""

SAMPLING = frozenset(
    {
        "seed",
        "min_p",
        "presence_penalty",
        "frequency_penalty",
        "repetition_penalty",
        "logit_bias",
    }
)
"""What an engine can do that draws each token by itself (`_openai.sampling`)."""

OF_DRAWS = frozenset({"seed", "min_p"})
"""What changes nothing where the likeliest token is taken anyway."""

OF_ANY = frozenset(
    {
        "model",
        "stream",
        "stream_options",
        "max_tokens",
        "max_completion_tokens",
        "temperature",
        "top_p",
        "top_k",
        "stop",
        "ignore_eos",
    }
)
"""What every engine honours."""

OF_CHATS = OF_ANY | {"messages"}
OF_COMPLETIONS = OF_ANY | {"prompt"}
OF_TOKENIZING = frozenset({"model", "messages", "prompt"})
