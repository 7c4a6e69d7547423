"""What a conversion asks for."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from llmops_cli.core.fields import Flag
from llmops_cli.core.grammar import Unreadable

Target = Literal["gguf", "hf"]
Scheme = Literal["F16", "BF16", "F32"]
FLOATS = ("F16", "BF16", "F32")


def read_scheme(text: str) -> str:
    """One of the float types, in any case."""
    scheme = text.upper()
    if scheme not in FLOATS:
        raise Unreadable(
            "convert writes F16, BF16 or F32; llmops quantize makes the smaller types",
            example="F16",
        )
    return scheme


class ConvertRecipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A Hugging Face folder becomes a GGUF file of a float type, a GGUF file becomes a folder.

    Types that lose more are `llmops quantize`'s.
    """

    model: Annotated[
        str,
        Flag(
            help="A folder, a .gguf file, a hub name, demo or smollm2 (`llmops models list`).",
            argument=True,
        ),
    ] = "demo"
    to: Annotated[
        Target | None,
        Flag(help="gguf or hf (a Hugging Face folder).", default="the one that it is not"),
    ] = None
    scheme: Annotated[
        Scheme | None,
        Flag(
            help="Type of a GGUF file's weights: F16, BF16, F32.", read=read_scheme, default="F16"
        ),
    ] = None
    check: Annotated[
        bool,
        Flag(
            help="Compare what was made with the original in Transformers.",
            names=("--check/--no-check",),
            default="yes",
        ),
    ] = True
    beyond_window: Annotated[
        bool, Flag(help="Keep a context beyond a sliding window that llama.cpp lacks.")
    ] = False
