"""What a worker cannot do is refused by name: nothing that changes an answer is passed over.

Standard library only.
"""

from _openai.errors import RequestError
from _openai.fields import Fields

TEXT = {"type": "text"}

# Any value of these changes the answer of a server that knows the field; those listed here change
# nothing, so they are as good as not given.
NEUTRAL: dict[str, tuple[object, ...]] = {
    "n": (1,),
    "best_of": (1,),
    "use_beam_search": (False,),
    "length_penalty": (1,),
    "echo": (False,),
    "suffix": ("",),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "prompt_logprobs": (False,),
    "seed": (-1,),
    "min_p": (0,),
    "typical_p": (1,),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "repetition_penalty": (1,),
    "logit_bias": ({},),
    "min_tokens": (0,),
    "stop_token_ids": ([],),
    "bad_words": ([],),
    "allowed_token_ids": ([],),
    "include_stop_str_in_output": (False,),
    "skip_special_tokens": (True,),
    "spaces_between_special_tokens": (True,),
    "response_format": (TEXT,),
    "structured_outputs": ({},),
    "guided_json": (),
    "guided_regex": ("",),
    "guided_choice": ([],),
    "guided_grammar": ("",),
    "grammar": ("",),
    "json_schema": ({},),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "modalities": ([], ["text"]),
    "audio": (),
    "web_search_options": (),
    "documents": ([],),
    "chat_template": (),
    "chat_template_kwargs": ({},),
    "add_generation_prompt": (True,),
    "continue_final_message": (False,),
    "truncate_prompt_tokens": (),
    "return_token_ids": (False,),
    "return_tokens_as_token_ids": (False,),
    "priority": (0,),
}

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


def refuse_unable(
    fields: Fields,
    *,
    abilities: frozenset[str],
    engine: str,
) -> None:
    """Raises: RequestError for the first field that says something this engine cannot do."""
    for name in fields.names():
        neutral = NEUTRAL.get(name)
        if neutral is None or name in abilities:
            continue
        if any(is_same(fields.raw(name), value) for value in neutral):
            continue
        message = f"{name}: {engine} cannot do this; leave it out, or use an engine that can"
        raise RequestError(message, param=name)


def is_same(value: object, other: object) -> bool:
    """Of JSON: 0 and 0.0 are one number, 0 and false are two things."""
    return isinstance(value, bool) == isinstance(other, bool) and value == other
