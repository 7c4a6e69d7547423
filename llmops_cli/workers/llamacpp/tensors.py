"""The tensors of a GGUF file that is to be written, a block of rows in memory at a time.

Shapes: O output rows, I input columns, H heads.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

import gguf
import numpy as np

from _shared.arrays import Array, Floats
from _shared.protocol import JobError
from _shared.safetensors import ITEM_BYTES, TensorFile
from llamacpp.architectures import ARCHITECTURES, GEMMA, Architecture, ModelFields, kv_heads_of

Type = gguf.GGMLQuantizationType
TEXT_PREFIX = re.compile(r"^(language_model\.model\.|model\.language_model\.)")
"""Of the text part of multimodal models."""
VISION_PREFIX = re.compile(r"(vision_tower|multi_modal_projector|model\.vision)")


class BeyondF16(Exception):
    """A tensor whose values overflow F16; the conversion starts again with that tensor in F32."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


@dataclass(frozen=True, kw_only=True)
class PlannedTensor:
    """One GGUF tensor: where its rows come from and how they change on the way.

    With `heads` its rotary halves are interleaved; `add` is added to every value.
    """

    name: str
    source: TensorFile | Floats
    type: Type
    heads: int = 0
    add: float = 0.0

    @property
    def shape(self) -> tuple[int, ...]:
        return self.source.shape

    @property
    def size_bytes(self) -> int:
        item_bytes = 4 if self.type == Type.F32 else 2
        return math.prod(self.shape) * item_bytes

    def blocks(self) -> Iterator[Array]:
        """The final values, a block of rows at a time."""
        if not isinstance(self.source, TensorFile):
            yield self.source
            return
        rows = self._rows_of_head()
        for block in self.source.read_blocks(rows_multiple=rows):
            yield self._encoded(block)

    def _rows_of_head(self) -> int:
        """A block holds whole heads; a vector comes in one piece."""
        if self.heads and len(self.shape) > 1:
            return self.shape[0] // self.heads
        return 1

    def _encoded(self, block: Array) -> Array:
        if self.heads:
            heads = self._heads_in(block)
            block = interleave(block, heads)
        if self.add:
            wide = block.astype(np.float32)
            block = wide + np.float32(self.add)
        return encode(block, self.type, self.name)

    def _heads_in(self, block: Array) -> int:
        if len(self.shape) == 1:
            return self.heads
        rows = int(block.shape[0])
        return rows // self._rows_of_head()


def interleave(block_OI: Array, heads: int) -> Array:
    """Hugging Face keeps the two rotary halves of a head apart; llama.cpp weaves them."""
    shape = block_OI.shape
    rows = shape[0] // heads // 2
    halves = block_OI.reshape(heads, 2, rows, *shape[1:])
    woven = halves.swapaxes(1, 2)
    return woven.reshape(shape)


def encode(
    block: Array,
    wanted: Type,
    name: str,
) -> Array:
    """The block in its final number type.

    Raises: BeyondF16 for values that F16 cannot hold, JobError for values that are no numbers.
    """
    if wanted == Type.F32:
        return np.ascontiguousarray(block, np.float32)
    if wanted == Type.BF16:
        wide = np.ascontiguousarray(block, np.float32)
        return gguf.quants.quantize(wide, Type.BF16)
    whole = np.ascontiguousarray(block)
    if block.dtype == np.float16:
        return whole
    with np.errstate(over="ignore"):
        half = whole.astype(np.float16)
    if np.isfinite(half).all():
        return half
    if np.isfinite(block).all():
        raise BeyondF16(name)
    raise JobError(
        "UsageError",
        f"tensor {name} has NaN or infinite values",
        "the checkpoint is broken",
    )


class TensorPlan:
    """Where each tensor of a checkpoint goes. Those named in `wide` stay F32."""

    def __init__(
        self,
        config: ModelFields,
        architecture: str,
        default: Type,
        wide: set[str],
    ) -> None:
        self._config = config
        self._architecture: Architecture = ARCHITECTURES[architecture]
        self._default = default
        self._wide = wide
        layers = config["num_hidden_layers"]
        self._names = gguf.get_tensor_name_map(self._architecture.gguf, layers)
        is_gemma = self._architecture.gguf in GEMMA
        self._has_tied_head = config.get("tie_word_embeddings", is_gemma)

    def all_of(self, tensors: dict[str, TensorFile]) -> list[PlannedTensor]:
        """In order; nothing is read yet.

        Raises: JobError for a tensor without a place, and for weights without embeddings.
        """
        planned = []
        for name, tensor in tensors.items():
            plain = TEXT_PREFIX.sub("model.", name)
            if not self._is_left_out(plain):
                tensor_plan = self._planned(name, plain, tensor)
                planned.append(tensor_plan)
        names = {tensor_plan.name for tensor_plan in planned}
        if "token_embd.weight" not in names:
            raise JobError(
                "UsageError",
                "the weights hold no token embeddings",
                "the checkpoint is incomplete; download it again",
            )
        return planned

    def _is_left_out(self, plain: str) -> bool:
        """What llama.cpp computes itself, or has no use for."""
        if plain.endswith("lm_head.weight") and self._has_tied_head:
            return True
        is_of_vision = VISION_PREFIX.match(plain) is not None
        return is_of_vision or plain.endswith("rotary_emb.inv_freq")

    def _planned(
        self,
        source_name: str,
        plain: str,
        tensor: TensorFile,
    ) -> PlannedTensor:
        name = self._names.get_name(plain, try_suffixes=(".weight", ".bias"))
        if name is None:
            place = f"a {self._architecture.gguf.name} GGUF file"
            raise JobError("UsageError", f"tensor '{source_name}' has no place in {place}")
        if tensor.dtype not in ITEM_BYTES:
            message = f"tensor '{source_name}' is {tensor.dtype}"
            raise JobError("UsageError", message, "bf16, f16 and f32 are read")
        is_vector = len(tensor.shape) == 1
        is_wide = is_vector or name in self._wide
        is_norm = plain.endswith("norm.weight")
        is_shifted = is_norm and self._architecture.norms_store_less_one
        return PlannedTensor(
            name=name,
            source=tensor,
            type=Type.F32 if is_wide else self._default,
            heads=self._heads_to_interleave(plain),
            add=1.0 if is_shifted else 0.0,
        )

    def _heads_to_interleave(self, plain: str) -> int:
        """0 where the rows stay as they are."""
        if not self._architecture.interleaves_rotary:
            return 0
        if "q_proj." in plain:
            return int(self._config["num_attention_heads"])
        if "k_proj." in plain:
            return kv_heads_of(self._config)
        return 0
