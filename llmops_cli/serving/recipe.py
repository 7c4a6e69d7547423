"""What `llmops engines start` asks for on the command line."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from llmops_cli.core.fields import Flag, Positive
from llmops_cli.core.grammar import read_pairs

LogFormat = Literal["text", "json"]
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]


class EngineRecipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An engine with a model, on this machine alone."""

    engine: Annotated[
        str | None, Flag(help="A name from `llmops engines`: llamacpp, vllm ...", argument=True)
    ] = None
    model: Annotated[
        str,
        Flag(help="A folder, a .gguf file, a hub name, demo or smollm2 (`llmops models list`)."),
    ] = "demo"
    port: Annotated[Port | None, Flag(help="Where it listens.", default="a free one")] = None
    parallel: Annotated[
        Positive, Flag(help="Requests at once that it is started for, unless --max-num-seqs says.")
    ] = 16
    logs: Annotated[
        str | None,
        Flag(help="A folder that keeps its log.", default="one that goes when it is stopped"),
    ] = None
    log_format: Annotated[
        LogFormat | None,
        Flag(help="What it says: words, or JSON a line.", default="LLMOPS_LOG_FORMAT"),
    ] = None
    options: Annotated[
        dict[str, str],
        Flag(
            help="An option of the engine, key=value. May be repeated.",
            names=("--set",),
            repeat=True,
            read=read_pairs,
        ),
    ] = {}
