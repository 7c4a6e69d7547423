"""What a sentence-transformers folder says of its vectors: modules.json and the files it names.

Standard library only.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OLD_POOLING_NAMES = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_lasttoken": "last",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len",
    "pooling_mode_weightedmean_tokens": "weightedmean",
}
NEW_POOLING_NAMES = {"lasttoken": "last"}
"""Where they differ from ours."""
KNOWN_POOLING = ("mean", "cls", "last")
KNOWN_MODULES = ("Transformer", "Pooling", "Normalize")

TEXT_HEADS = ("ForCausalLM", "ForConditionalGeneration", "LMHeadModel")
"""How the names of architectures that write text end."""

# The files' fields as they are; each reader knows its own.
Json = dict[str, Any]


class UnknownModule(ValueError):
    """The folder wants something done with its vectors that is not done here."""


@dataclass(frozen=True)
class SentenceModel:
    """`max_tokens`: of one text, special ones included; None where only the model bounds them.

    The defaults are what sentence-transformers makes of a folder without modules.json, but for the
    unit length, which OpenAI's vectors have.
    """

    pooling: str = "mean"
    normalizes: bool = True
    max_tokens: int | None = None


def makes_vectors(folder: Path) -> bool:
    """Whether it is of sentence-transformers, or its model has no head that writes text."""
    if (folder / "modules.json").is_file():
        return True
    named = _fields(folder / "config.json").get("architectures") or []
    return bool(named) and not any(name.endswith(TEXT_HEADS) for name in named)


def read_sentence_model(folder: Path) -> SentenceModel:
    """Raises: UnknownModule for a module or a pooling that is not known here."""
    modules_path = folder / "modules.json"
    if not modules_path.is_file():
        return SentenceModel()
    modules: list[Json] = json.loads(modules_path.read_text())
    places = {}
    for module in modules:
        kind = str(module["type"]).rpartition(".")[2]
        if kind not in KNOWN_MODULES:
            raise UnknownModule(f"{folder.name} has a module {kind}, which is not computed here")
        places[kind] = folder / module["path"]
    pooling = "mean"
    if "Pooling" in places:
        pooling = _pooling_of(_fields(places["Pooling"] / "config.json"))
    bert = _fields(folder / "sentence_bert_config.json")
    return SentenceModel(
        pooling=pooling,
        normalizes="Normalize" in places,
        max_tokens=bert.get("max_seq_length"),
    )


def _pooling_of(fields: Json) -> str:
    """Its name here. Raises: UnknownModule for several at once, or another."""
    named = fields.get("pooling_mode")
    modes = [name for key, name in OLD_POOLING_NAMES.items() if fields.get(key)]
    if named is not None:
        listed: list[str] = named if isinstance(named, list) else [named]
        modes = [NEW_POOLING_NAMES.get(name, name) for name in listed]
    if len(modes) != 1 or modes[0] not in KNOWN_POOLING:
        known = ", ".join(KNOWN_POOLING)
        raise UnknownModule(f"pooling of {' and '.join(modes) or 'nothing'}; known is {known}")
    return str(modes[0])


def _fields(path: Path) -> Json:
    if not path.is_file():
        return {}
    return dict(json.loads(path.read_text()))
