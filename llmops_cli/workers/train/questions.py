"""What a trained model is asked for people to read: questions of the data, held out where some is.

Shapes: T tokens.
"""

from train.data.source import Source

ASKED = 2
PLAIN_TOKENS = 16
"""Of a text that is no chat, its beginning."""
LONGEST_TOKENS = 512
STEPS = 8
"""Batches that are looked through for questions."""


def questions_of(source: Source, *, batch_size: int) -> list[list[int]]:
    """Tokens of each: all before the first one that is learned."""
    found: list[list[int]] = []
    for step in range(STEPS):
        if len(found) >= ASKED or source.is_over(step):
            break
        batch = source.rows(step, range(min(batch_size, ASKED)))
        lengths = batch.lengths().tolist()
        rows = zip(batch.ids_BT.tolist(), batch.weights_BT.tolist(), lengths, strict=True)
        for ids_T, weights_T, length in rows:
            asked = _question(ids_T[:length], weights_T[:length])
            if asked:
                found.append(asked)
    return found[:ASKED]


def _question(ids_T: list[int], weights_T: list[float]) -> list[int]:
    """Empty if there is none, or one that is long to read."""
    first = next((place for place, weight in enumerate(weights_T) if weight), None)
    if first is None:
        return []
    if first == 0:
        return ids_T[: min(PLAIN_TOKENS, len(ids_T) // 2)]
    return ids_T[: first + 1] if first < LONGEST_TOKENS else []
