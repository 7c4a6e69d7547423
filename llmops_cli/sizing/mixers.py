"""Layers that keep a state instead of a cache: their tensors, and what a sequence leaves in them.

Shapes are those of Transformers' modules of the same name.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from llmops_cli.sizing.parameters import STATE, Tensor, linear_tensors, norm_tensor


class Mamba(msgspec.Struct, frozen=True, kw_only=True):
    """A selective state space of the first kind (arXiv:2312.00752). `has_norms`: Jamba's three."""

    inner: int
    state: int
    rank: int
    kernel: int
    conv_bias: bool = True
    bias: bool = False
    has_norms: bool = False

    @property
    def conv_values(self) -> int:
        return self.inner * self.kernel

    @property
    def state_values(self) -> int:
        return self.inner * self.state

    def tensors(self, size: int, prefix: str) -> Iterator[Tensor]:
        """`size`: of the hidden state."""
        yield from _state_linear(f"{prefix}.in_proj", size, 2 * self.inner, bias=self.bias)
        yield from _conv(prefix, self.inner, self.kernel, bias=self.conv_bias)
        yield from _state_linear(f"{prefix}.x_proj", self.inner, self.rank + 2 * self.state)
        yield from _state_linear(f"{prefix}.dt_proj", self.rank, self.inner, bias=True)
        yield _plain(f"{prefix}.A_log", self.inner, self.state)
        yield _plain(f"{prefix}.D", self.inner)
        yield from _state_linear(f"{prefix}.out_proj", self.inner, size, bias=self.bias)
        if self.has_norms:
            yield norm_tensor(f"{prefix}.dt_layernorm", self.rank)
            yield norm_tensor(f"{prefix}.b_layernorm", self.state)
            yield norm_tensor(f"{prefix}.c_layernorm", self.state)


class Mamba2(msgspec.Struct, frozen=True, kw_only=True):
    """A state space with one decay for each head (arXiv:2405.21060)."""

    inner: int
    heads: int
    state: int
    groups: int
    kernel: int
    conv_bias: bool = True
    bias: bool = False
    output_bias: bool = False
    has_norm: bool = True

    @property
    def channels(self) -> int:
        """Those of the convolution: inputs, and keys and queries of all groups."""
        return self.inner + 2 * self.groups * self.state

    @property
    def conv_values(self) -> int:
        return self.channels * self.kernel

    @property
    def state_values(self) -> int:
        return self.inner * self.state

    def tensors(self, size: int, prefix: str) -> Iterator[Tensor]:
        """`size`: of the hidden state."""
        width = self.inner + self.channels + self.heads
        yield from _state_linear(f"{prefix}.in_proj", size, width, bias=self.bias)
        yield from _conv(prefix, self.channels, self.kernel, bias=self.conv_bias)
        for name in ("dt_bias", "A_log", "D"):
            yield _plain(f"{prefix}.{name}", self.heads)
        if self.has_norm:
            yield norm_tensor(f"{prefix}.norm", self.inner)
        yield from _state_linear(f"{prefix}.out_proj", self.inner, size, bias=self.output_bias)


class DeltaNet(msgspec.Struct, frozen=True, kw_only=True):
    """Gated delta rule (arXiv:2412.06464), as Qwen3-Next has it."""

    key_heads: int
    key_dim: int
    value_heads: int
    value_dim: int
    kernel: int

    @property
    def channels(self) -> int:
        """Those of the convolution: queries, keys and values."""
        return 2 * self.key_heads * self.key_dim + self.value_heads * self.value_dim

    @property
    def conv_values(self) -> int:
        return self.channels * self.kernel

    @property
    def state_values(self) -> int:
        return self.value_heads * self.key_dim * self.value_dim

    def tensors(self, size: int, prefix: str) -> Iterator[Tensor]:
        """`size`: of the hidden state."""
        values = self.value_heads * self.value_dim
        yield from _state_linear(f"{prefix}.in_proj_qkvz", size, self.channels + values)
        yield from _state_linear(f"{prefix}.in_proj_ba", size, 2 * self.value_heads)
        yield from _conv(prefix, self.channels, self.kernel, bias=False)
        yield _plain(f"{prefix}.dt_bias", self.value_heads)
        yield _plain(f"{prefix}.A_log", self.value_heads)
        yield norm_tensor(f"{prefix}.norm", self.value_dim)
        yield from _state_linear(f"{prefix}.out_proj", values, size)


class ShortConv(msgspec.Struct, frozen=True, kw_only=True):
    """A gated convolution over a few tokens, as LFM2 has it."""

    channels: int
    kernel: int
    bias: bool = False

    @property
    def conv_values(self) -> int:
        return self.channels * self.kernel

    @property
    def state_values(self) -> int:
        return 0

    def tensors(self, size: int, prefix: str) -> Iterator[Tensor]:
        """`size`: of the hidden state."""
        yield from _state_linear(f"{prefix}.in_proj", size, 3 * self.channels, bias=self.bias)
        yield from _conv(prefix, self.channels, self.kernel, bias=self.bias)
        yield from _state_linear(f"{prefix}.out_proj", self.channels, size, bias=self.bias)


Mixer = Mamba | Mamba2 | DeltaNet | ShortConv


def _state_linear(
    name: str,
    inputs: int,
    outputs: int,
    *,
    bias: bool = False,
) -> Iterator[Tensor]:
    yield from linear_tensors(
        name, inputs=inputs, outputs=outputs, role=STATE, split=None, bias=bias
    )


def _conv(prefix: str, channels: int, kernel: int, *, bias: bool) -> Iterator[Tensor]:
    """One filter for each channel."""
    yield _plain(f"{prefix}.conv1d.weight", channels, 1, kernel)
    if bias:
        yield _plain(f"{prefix}.conv1d.bias", channels)


def _plain(name: str, *shape: int) -> Tensor:
    return Tensor(name=name, shape=shape, role=STATE)
