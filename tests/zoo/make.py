"""Writes every model of the zoo into a folder, with what Transformers says of it.

Usage: python -m tests.zoo.make FOLDER [CASE...]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from tests.zoo.case import SIZE, Case, write_edited
from tests.zoo.cases import CASES
from tests.zoo.texts import TEXTS

LENGTH = 80
"""Tokens of a text; fewer where the context ends before."""


def make(folder: Path, case: Case) -> None:
    import torch
    import transformers

    torch.manual_seed(0)
    config = getattr(transformers, f"{case.kind}Config")(**{**SIZE, **case.config})
    class_name = f"{case.kind.removesuffix('Text')}ForCausalLM"
    model = getattr(transformers, class_name)(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:  # norms and biases must not hide behind ones and zeros
                parameter.add_(torch.randn_like(parameter) * 0.1)
    model.save_pretrained(folder)
    if case.weights is not None:
        _change_weights(folder, case)
    if case.edit is not None:
        write_edited(folder, case.edit)
    case.tokenizer(folder)


def _change_weights(folder: Path, case: Case) -> None:
    from safetensors.torch import load_file, save_file

    assert case.weights is not None
    path = folder / "model.safetensors"
    tensors = load_file(path)
    case.weights(tensors)
    save_file(tensors, path, metadata={"format": "pt"})


def tell(folder: Path, case: Case) -> None:
    """truth.npz and tokens.json: the logits of random tokens, where answers end, and the tokens of
    the texts.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    )
    length = min(LENGTH, case.context)
    tokens = np.random.default_rng(0).integers(4, 300, length)
    with torch.no_grad():
        logits = model(torch.tensor(tokens[None])).logits[0]
    ends = np.atleast_1d(model.generation_config.eos_token_id)
    np.savez(folder / "truth.npz", tokens=tokens, logits=logits.numpy(), ends=ends)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    rows = tokens_rows(tokenizer)
    (folder / "tokens.json").write_text(json.dumps(rows))


def tokens_rows(tokenizer: Any) -> list[list[list[int]]]:  # Any: transformers has no types
    """Of each text."""
    return [_tokens_of(tokenizer, text) for text in TEXTS]


def _tokens_of(tokenizer: Any, text: str) -> list[list[int]]:
    """Without, and with what the tokenizer itself puts around it."""
    bare = tokenizer(text, add_special_tokens=False).input_ids
    return [list(bare), list(tokenizer(text).input_ids)]


def main() -> None:
    root = Path(sys.argv[1])
    for name in sys.argv[2:] or CASES:
        case = CASES[name]
        folder = folder_of(root, name)
        folder.mkdir(parents=True)
        make(folder, case)
        if case.refused is None:
            tell(folder, case)


def folder_of(root: Path, name: str) -> Path:
    return root / name / (CASES[name].folder or "model")


if __name__ == "__main__":
    main()
