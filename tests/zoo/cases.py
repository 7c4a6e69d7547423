"""All models of the zoo by name."""

from __future__ import annotations

from tests.zoo.architectures import ARCHITECTURES
from tests.zoo.ropes import ROPES
from tests.zoo.tokenizer_cases import TOKENIZERS

CASES = {**ARCHITECTURES, **ROPES, **TOKENIZERS}
