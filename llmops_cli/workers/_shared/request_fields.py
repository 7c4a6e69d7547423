"""Which fields a server of ours knows: one that asks for what it cannot do is refused by name.

Standard library only.
"""

import difflib
from collections.abc import Collection, Mapping

TEXT = {"type": "text"}

WITHOUT_EFFECT = frozenset(
    {
        "user",
        "metadata",
        "client_metadata",
        "store",
        "service_tier",
        "safety_identifier",
        "prompt_cache_key",
        "prompt_cache_retention",
        "prompt_cache_options",
        "cache_salt",
        "cache_prompt",
        "id_slot",
        "prediction",
        "request_id",
    }
)
"""Taken and not looked at: no answer of any server is another for them."""

# Any value of these changes the answer of a server that knows the field; those listed here change
# nothing, so they are as good as not given.
NEUTRAL: dict[str, tuple[object, ...]] = {
    "n": (1,),
    "best_of": (1,),
    "use_beam_search": (False,),
    "length_penalty": (1,),
    "early_stopping": (False,),
    "echo": (False,),
    "suffix": ("",),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "prompt_logprobs": (False,),
    "n_probs": (0,),
    "n_predict": (),
    "seed": (-1,),
    "min_p": (0,),
    "typical_p": (1,),
    "tfs_z": (1,),
    "top_a": (0,),
    "mirostat": (0,),
    "dynatemp_range": (0,),
    "xtc_probability": (0,),
    "dry_multiplier": (0,),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "repetition_penalty": (1,),
    "repeat_penalty": (1,),
    "logit_bias": ({},),
    "min_tokens": (0,),
    "min_keep": (0,),
    "stop_token_ids": (),
    "bad_words": (),
    "allowed_token_ids": (),
    "include_stop_str_in_output": (False,),
    "skip_special_tokens": (True,),
    "spaces_between_special_tokens": (True,),
    "add_special_tokens": (True,),
    "add_special": (True,),
    "parse_special": (True,),
    "response_format": (TEXT,),
    "structured_outputs": ({},),
    "guided_json": (),
    "guided_regex": ("",),
    "guided_choice": (),
    "guided_grammar": ("",),
    "grammar": ("",),
    "json_schema": ({},),
    "tools": (),
    "tool_choice": ("none", "auto"),
    "parallel_tool_calls": (True, False),
    "functions": (),
    "function_call": ("none", "auto"),
    "modalities": (["text"],),
    "audio": (),
    "web_search_options": (),
    "reasoning_effort": ("none",),
    "verbosity": ("medium",),
    "documents": (),
    "chat_template": (),
    "chat_template_kwargs": ({},),
    "add_generation_prompt": (True,),
    "continue_final_message": (False,),
    "prompt_embeds": (),
    "truncate_prompt_tokens": (),
    "return_token_ids": (False,),
    "return_tokens_as_token_ids": (False,),
    "priority": (0,),
}

EMPTY: tuple[object, ...] = (False, {}, "")
"""What asks for nothing in a field that nobody here knows."""

INSTEAD = {
    "n_predict": ("max_tokens",),
    "max_new_tokens": ("max_tokens",),
    "repeat_penalty": ("repetition_penalty",),
    "functions": ("tools",),
    "function_call": ("tool_choice",),
    "guided_json": ("response_format",),
    "guided_grammar": ("grammar",),
    "guided_regex": ("response_format",),
    "guided_choice": ("response_format",),
    "structured_outputs": ("response_format",),
    "json_schema": ("response_format",),
}
"""The name that the same wish has here, where an engine knows one."""


class FieldError(ValueError):
    """A field of a request that cannot be used."""

    def __init__(
        self,
        field: str,
        reason: str,
        *,
        place: str = "",
    ) -> None:
        """`place`: within the field, as in `[3]`."""
        super().__init__(f"{field}{place}: {reason}")
        self.field = field


def check_fields(
    values: Mapping[str, object],
    *,
    known: Collection[str],
    server: str,
) -> None:
    """Raises: FieldError for the first field that asks for what this server cannot do."""
    for name, value in values.items():
        if name in known or name in WITHOUT_EFFECT or asks_nothing(name, value):
            continue
        raise FieldError(name[:80], _refusal(name, known, server))


def asks_nothing(name: str, value: object) -> bool:
    """Whether an answer is the same with and without it."""
    if value is None or value == []:
        return True
    neutral = NEUTRAL.get(name, EMPTY)
    return any(is_same(value, other) for other in neutral)


def is_same(value: object, other: object) -> bool:
    """Of JSON: 0 and 0.0 are one number, 0 and false are two things."""
    return isinstance(value, bool) == isinstance(other, bool) and value == other


def _refusal(name: str, known: Collection[str], server: str) -> str:
    near = [other for other in INSTEAD.get(name, ()) if other in known]
    if not near and name not in NEUTRAL:
        near = difflib.get_close_matches(name[:80], sorted(known), n=1)
    if near:
        return f"{server} has no such field; did you mean {near[0]}?"
    if name in NEUTRAL:
        return f"{server} cannot do this; leave it out, or use an engine that can"
    return f"{server} has no such field; leave it out"
