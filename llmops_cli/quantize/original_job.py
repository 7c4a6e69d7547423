"""The original model as the base of GGUF files' quality: where it is computed, and by what."""

from __future__ import annotations

import msgspec

from llmops_cli.core.artifact import Artifact
from llmops_cli.models.original import OFFLINE, transformers_env
from llmops_cli.runtime.closure import cache_key
from llmops_cli.runtime.job import Json

PROGRAM = "hf.rows"


class OriginalBase(msgspec.Struct, frozen=True, kw_only=True):
    """`fields` go into the job of `llamacpp.quality`, which starts `PROGRAM` itself."""

    fields: Json
    variables: dict[str, str]
    key: str


def original_base(source: Artifact) -> OriginalBase | None:
    """None for a source that is no Hugging Face folder, or where no Transformers is."""
    if source.format != "hf":
        return None
    env = transformers_env()
    if env is None:
        return None
    return OriginalBase(
        fields={"original": source.path, "original_python": env.python},
        variables=OFFLINE,
        key=cache_key(program=PROGRAM, env=env),
    )
