"""What autograd holds between a forward pass and its backward pass, storage by storage.

Saved tensors are seen by autograd's hooks. A checkpointed block holds what it keeps elsewhere: its
input by a closure, and what selective checkpointing keeps in torch's own cache.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.nn import Module
from torch.utils import checkpoint

CACHE = -1
"""The key of selective checkpointing's cache, which is no one storage."""


def local(tensor: Tensor) -> Tensor:
    """This rank's part of a tensor that is spread over several."""
    part: Tensor = getattr(tensor, "_local_tensor", tensor)
    return part


def key_of(tensor: Tensor) -> int:
    return local(tensor).untyped_storage().data_ptr()


def size_of(tensor: Tensor) -> int:
    return local(tensor).untyped_storage().nbytes()


class Ledger:
    """Storages that are held, how often each, and the most that they ever were together."""

    def __init__(self) -> None:
        self.peak_bytes = 0
        self._bytes = 0
        self._counts: dict[int, int] = {}
        self._sizes: dict[int, int] = {}

    def add(self, key: int, size: int) -> None:
        count = self._counts.get(key, 0)
        if count == 0:
            self._sizes[key] = size
            self._bytes += size
            self.peak_bytes = max(self.peak_bytes, self._bytes)
        self._counts[key] = count + 1

    def drop(self, key: int) -> None:
        self._counts[key] -= 1
        if self._counts[key] == 0:
            self._bytes -= self._sizes[key]

    def unseen_bytes(self, tensors: list[Tensor]) -> int:
        """Of those that are not held by anything else that was seen."""
        sizes = {key_of(tensor): size_of(tensor) for tensor in tensors}
        return sum(size for key, size in sizes.items() if self._counts.get(key, 0) == 0)


class _Saved:
    """A saved tensor for as long as autograd holds it."""

    def __init__(self, tensor: Tensor, ledger: Ledger, key: int) -> None:
        self.tensor = tensor
        self._ledger = ledger
        self._key = key

    def __del__(self) -> None:
        self._ledger.drop(self._key)


class _Hooks:
    """Autograd's hooks and those of modules, and which storages are weights."""

    def __init__(self, model: Module) -> None:
        self.ledger = Ledger()
        self._weights = {key_of(parameter) for parameter in model.parameters()}
        self._gathered: set[int] = set()
        self._followed: set[int] = set()

    def pack(self, tensor: Tensor) -> Tensor | _Saved:
        key = key_of(tensor)
        if key in self._weights or key in self._gathered:
            return tensor
        self.ledger.add(key, size_of(tensor))
        return _Saved(tensor, self.ledger, key)

    def unpack(self, saved: Tensor | _Saved) -> Tensor:
        return saved.tensor if isinstance(saved, _Saved) else saved

    def before_module(self, module: Module, inputs: tuple[Any, ...]) -> None:
        """Weights that are gathered for a forward pass are seen when a module is about to run."""
        self._gathered = {key_of(parameter) for parameter in module.parameters(recurse=False)}
        if getattr(module, "gradient_checkpointing", False) and module.training:
            self._follow(inputs)

    def _follow(self, inputs: tuple[Any, ...]) -> None:
        """A checkpointed block's input is held until its own gradient is there.

        The tensor may live on: a pipeline's buffers do. A block that is computed again comes twice.
        """
        for tensor in inputs:
            if not isinstance(tensor, Tensor) or not tensor.requires_grad:
                continue
            key = key_of(tensor)
            if key in self._followed:
                continue
            self._followed.add(key)
            self.ledger.add(key, size_of(tensor))
            register: Any = tensor.register_hook  # it has no types
            register(partial(self._let_go, key))

    def _let_go(self, key: int, gradient: Tensor) -> None:
        del gradient
        self._followed.discard(key)
        self.ledger.drop(key)

    def after_forward(self, module: Module, inputs: Any, output: Any) -> None:
        """Counts selective checkpointing's cache until the backward pass comes to the logits."""
        del module, inputs
        logits = getattr(output, "logits", None)
        if not isinstance(logits, Tensor) or not logits.requires_grad:
            return
        self.ledger.add(CACHE, self.ledger.unseen_bytes(_cached()))
        register: Any = logits.register_hook  # it has no types
        register(lambda _: self.ledger.drop(CACHE))


def _cached() -> list[Tensor]:
    """What selective checkpointing keeps, of all blocks (torch.utils.checkpoint, torch 2.13)."""
    wrapper: Any = checkpoint._VersionWrapper  # noqa: SLF001 - torch has no public way to it
    return [each.val for each in gc.get_objects() if type(each) is wrapper]


@contextmanager
def held_activations(model: Module, *, is_selective: bool = False) -> Iterator[Ledger]:
    """Counts what is held by the passes inside it."""
    hooks = _Hooks(model)
    handles = [module.register_forward_pre_hook(hooks.before_module) for module in model.modules()]
    if is_selective:
        handles.append(model.register_forward_hook(hooks.after_forward))
    try:
        with saved_tensors_hooks(hooks.pack, hooks.unpack):
            yield hooks.ledger
    finally:
        for handle in handles:
            handle.remove()
