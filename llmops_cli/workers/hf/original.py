"""An original model in Transformers: its tokenizer, and what it says after some positions.

Shapes: T tokens of one text, N positions, V vocabulary.
"""

import inspect
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from _shared.arrays import Floats
from _shared.protocol import JobError
from _shared.safetensors import open_model
from hf.float32 import compute_in_float32
from hf.refusals import REFUSALS

DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
FULL = "full_attention"
BY_LENGTH = frozenset({"longrope", "dynamic"})
"""Ropes whose frequencies are others once a text is longer than the original context."""


class Original:
    """Computes in float32 whatever its weights are kept in."""

    def __init__(self, path: str) -> None:
        try:
            self.tokenizer: Any = AutoTokenizer.from_pretrained(path, trust_remote_code=False)
            self.model: Any = load_whole(path)
        except REFUSALS as error:
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            raise JobError(
                "EngineFailed", f"Transformers cannot load {path}: {reason[:300]}"
            ) from error
        self.config: Any = self.model.config.get_text_config()
        compute_in_float32(self.model)
        self._keeps_positions = "logits_to_keep" in inspect.signature(self.model.forward).parameters

    @property
    def parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.model.parameters())

    @property
    def context(self) -> int | None:
        """Tokens that it was made for; None where the config does not tell."""
        known = getattr(self.config, "max_position_embeddings", None)
        return known if isinstance(known, int) and known > 0 else None

    @property
    def steady_context(self) -> int | None:
        """Tokens up to which a text's length does not decide how its positions are told."""
        ropes = getattr(self.config, "rope_parameters", None) or {}
        for rope in (ropes, *ropes.values()):
            if isinstance(rope, dict) and rope.get("rope_type") in BY_LENGTH:
                first = rope.get("original_max_position_embeddings")
                first = first or getattr(self.config, "original_max_position_embeddings", None)
                return first or self.context
        return self.context

    @property
    def window(self) -> int | None:
        """Tokens that some layer looks back on at most; None if all look back to the beginning."""
        window = getattr(self.config, "sliding_window", None)
        kinds = getattr(self.config, "layer_types", None)
        if not isinstance(window, int) or window < 1:
            return None
        if kinds and all(kind == FULL for kind in kinds):
            return None
        return window

    def set_window(self, window: int) -> None:
        """Another sliding window, wherever the model keeps its own."""
        self.config.sliding_window = window
        for module in self.model.modules():
            if isinstance(getattr(module, "sliding_window", None), int):
                module.sliding_window = window

    def encode(self, text: str) -> list[int]:
        """Without what the tokenizer puts around a text."""
        return list(self.tokenizer(text, add_special_tokens=False).input_ids)

    @torch.no_grad()
    def logits(self, tokens: list[int], positions: list[int]) -> Floats:
        """After each of the positions, shape (N, V), float32."""
        tokens_BT = torch.tensor([tokens])
        rows_N = torch.tensor(positions)
        more: dict[str, Any] = {"logits_to_keep": rows_N} if self._keeps_positions else {}
        logits_NV = self.model(input_ids=tokens_BT, use_cache=False, **more).logits[0]
        if not self._keeps_positions:
            logits_NV = logits_NV[rows_N]
        found: Floats = logits_NV.float().numpy()
        return found


def load_whole(path: str) -> Any:
    """The model with the types that its files have. Raises: JobError if its weights lack some."""
    # Any: with `output_loading_info` it is a pair, which its annotation does not tell
    loaded: Any = AutoModelForCausalLM.from_pretrained(
        path, dtype=stored_dtype(Path(path)), trust_remote_code=False, output_loading_info=True
    )
    model, loading = loaded
    missing = sorted(loading["missing_keys"])
    if missing and not hasattr(model.config, "quantization_config"):
        raise JobError(
            "UsageError",
            f"the weights of {path} lack {len(missing)} tensors, such as {missing[0]}",
            "download or make the model again",
        )
    return model.eval()


def stored_dtype(folder: Path) -> Any:
    """The one type of all weights; float32 where they are mixed; auto for what is quantized."""
    kinds = {tensor.dtype for tensor in open_model(folder).values()}
    if not kinds <= DTYPES.keys():
        return "auto"
    if len(kinds) == 1:
        return DTYPES[kinds.pop()]
    return torch.float32
