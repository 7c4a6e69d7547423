"""How far two texts agree, token by token."""

Tokens = list[int]


def common_prefix(a: Tokens, b: Tokens) -> int:
    """Length of the longest beginning that both have. Compares slices, which is at C speed."""
    limit = min(len(a), len(b))
    if a[:limit] == b[:limit]:
        return limit
    same = 0  # a[:same] matches
    differs = limit  # a[:differs] does not
    while differs - same > 1:
        middle = (same + differs) // 2
        if a[same:middle] == b[same:middle]:
            same = middle
        else:
            differs = middle
    return same
