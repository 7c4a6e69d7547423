"""Whether a model's head is its embeddings once more."""

from itertools import zip_longest

import numpy as np

from _shared.safetensors import TensorFile


def head_is_tied(embedding: TensorFile, head: TensorFile) -> bool:
    """Read block by block; the first difference ends it."""
    if embedding.shape != head.shape:
        return False
    for one, other in zip_longest(embedding.read_blocks(), head.read_blocks()):
        if one is None or other is None or not np.array_equal(one, other):
            return False
    return True
