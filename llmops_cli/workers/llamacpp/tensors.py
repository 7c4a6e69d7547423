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
from llamacpp.architectures import ARCHITECTURES, GEMMA, Architecture
from llamacpp.defaults import ModelFields
from llamacpp.expected import EMBEDDING, HEAD, expected_shapes
from llamacpp.hparams import query_scale
from llamacpp.tied import head_is_tied

Type = gguf.GGMLQuantizationType
TEXT_PREFIX = re.compile(r"^(language_model\.model\.|model\.language_model\.)")
"""Of the text part of multimodal models."""
BARE_PARTS = ("embed_tokens.", "layers.", "norm.")
"""How names begin in the folder of a base model, as those of Qwen 3's vectors are."""
VISION_PREFIX = re.compile(r"(vision_tower|multi_modal_projector|model\.vision)")


class BeyondF16(Exception):
    """Tensors whose values overflow F16; the conversion starts again with those in F32."""

    def __init__(self, names: set[str]) -> None:
        super().__init__(*sorted(names))
        self.names = names


@dataclass(frozen=True, kw_only=True)
class PlannedTensor:
    """One GGUF tensor: where its rows come from and how they change on the way.

    With `heads` its rotary halves are interleaved; `add` is added to every value, and then each
    is multiplied by `scale`.
    """

    name: str
    source: TensorFile | Floats
    type: Type
    heads: int = 0
    add: float = 0.0
    scale: float = 1.0

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
        if self.scale != 1.0:
            wide = block.astype(np.float32)
            block = wide * np.float32(self.scale)
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
    if not np.isfinite(block).all():
        message = f"tensor {name} has NaN or infinite values"
        raise JobError("UsageError", message, "the checkpoint is broken")
    if wanted == Type.F32:
        return np.ascontiguousarray(block, np.float32)
    if wanted == Type.BF16:
        wide = np.ascontiguousarray(block, np.float32)
        return gguf.quants.quantize(wide, Type.BF16)
    whole = np.ascontiguousarray(block)
    with np.errstate(over="ignore"):
        half = whole.astype(np.float16, copy=False)
    if np.isfinite(half).all():
        return half
    raise BeyondF16({name})


def beyond_f16(tensors: list[PlannedTensor]) -> set[str]:
    """Names of those that are to be F16, and have values which it cannot hold."""
    found: set[str] = set()
    for tensor in tensors:
        try:
            for _ in tensor.blocks():
                pass
        except BeyondF16 as overflow:
            found |= overflow.names
    return found


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

    def all_of(self, tensors: dict[str, TensorFile]) -> list[PlannedTensor]:
        """In order; nothing but a second head is read yet.

        Raises: JobError for a tensor without a place, and for those that are missing.
        """
        found = {}
        for name, tensor in tensors.items():
            plain = plain_name(name)
            if plain in found:
                raise self._no_place(name)
            if not _is_left_out(plain):
                found[plain] = self._readable(name, tensor)
        self._settle_head(found)
        self._check(found)
        return [self._planned(plain, tensor) for plain, tensor in found.items()]

    def _readable(self, name: str, tensor: TensorFile) -> TensorFile:
        if tensor.dtype not in ITEM_BYTES:
            message = f"tensor '{name}' is {tensor.dtype}"
            raise JobError("UsageError", message, "bf16, f16, f32 and f64 are read")
        return tensor

    def _settle_head(self, found: dict[str, TensorFile]) -> None:
        """Drops a head that is the embeddings once more; Transformers keeps one that differs."""
        is_tied = self._config["tie_word_embeddings"]
        if is_tied and HEAD in found and EMBEDDING not in found:
            found[EMBEDDING] = found.pop(HEAD)
        elif is_tied and HEAD in found and head_is_tied(found[EMBEDDING], found[HEAD]):
            del found[HEAD]
        if HEAD in found and self._architecture.gguf == gguf.MODEL_ARCH.GEMMA2:
            message = "lm_head.weight is not the embeddings: llama.cpp's gemma2 has no output head"
            raise JobError("UsageError", message)

    def _check(self, found: dict[str, TensorFile]) -> None:
        """Raises: JobError unless these are the tensors that Transformers would read."""
        shapes = expected_shapes(self._config, self._architecture)
        if HEAD not in found and self._config["tie_word_embeddings"]:
            shapes.pop(HEAD)
        for name, tensor in found.items():
            if name not in shapes:
                raise self._no_place(name)
            if tensor.shape != shapes[name]:
                message = f"tensor '{name}' has shape {tensor.shape}, and config.json says "
                raise JobError("UsageError", f"{message}{shapes[name]}", "one of them is wrong")
        missing = [name for name in shapes if name not in found]
        if missing:
            raise JobError(
                "UsageError",
                f"the weights hold no {missing[0]} ({len(missing)} tensors are missing)",
                "the checkpoint is incomplete; download it again",
            )

    def _no_place(self, name: str) -> JobError:
        message = f"tensor '{name}' has no place in a {self._architecture.gguf.name} GGUF file"
        hint = "Transformers would not read it by this config.json: one of them is wrong"
        return JobError("UsageError", message, hint)

    def _planned(self, plain: str, tensor: TensorFile) -> PlannedTensor:
        name = self._names.get_name(plain, try_suffixes=(".weight", ".bias"))
        if name is None:
            raise self._no_place(plain)
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
            scale=self._scale_of(plain),
        )

    def _heads_to_interleave(self, plain: str) -> int:
        """0 where the rows stay as they are."""
        if not self._architecture.interleaves_rotary:
            return 0
        if "q_proj." in plain:
            return int(self._config["num_attention_heads"])
        if "k_proj." in plain:
            return int(self._config["num_key_value_heads"])
        return 0

    def _scale_of(self, plain: str) -> float:
        """Gemma's queries carry what llama.cpp's fixed scale lacks; Gemma 3 norms them after."""
        architecture = self._architecture.gguf
        scaled = {
            gguf.MODEL_ARCH.GEMMA2: "q_proj.weight",
            gguf.MODEL_ARCH.GEMMA3: "q_norm.weight",
        }
        if architecture in GEMMA and plain.endswith(scaled[architecture]):
            return query_scale(self._config, architecture)
        return 1.0


def plain_name(name: str) -> str:
    """As a model of text alone would call it."""
    plain = TEXT_PREFIX.sub("model.", name)
    plain = plain.removeprefix("language_model.")
    return f"model.{plain}" if plain.startswith(BARE_PARTS) else plain


def _is_left_out(plain: str) -> bool:
    """What llama.cpp computes itself, or has no use for."""
    is_of_vision = VISION_PREFIX.match(plain) is not None
    return is_of_vision or plain.endswith("rotary_emb.inv_freq")
