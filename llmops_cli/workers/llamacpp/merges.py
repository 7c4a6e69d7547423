"""Whether llama.cpp would join pieces as a tokenizer's merges say."""

from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise

Pair = tuple[str, str]


def pairs_of(merges: Iterable[str | list[str]]) -> list[Pair]:
    """A merge is a pair, or a text with a space."""
    found = []
    for merge in merges:
        left, right = merge.split(" ", 1) if isinstance(merge, str) else merge
        found.append((left, right))
    return found


def ranks_by_piece(pairs: Iterable[Pair]) -> dict[str, int]:
    """What a merge makes -> its first place."""
    ranks: dict[str, int] = {}
    for rank, (left, right) in enumerate(pairs):
        ranks.setdefault(left + right, rank)
    return ranks


def follow_scores(
    vocabulary: Mapping[str, int],
    pairs: list[Pair],
    added: set[str],
) -> bool:
    """Whether joining by a score of each piece comes to the same as joining by these merges.

    It does if any two pieces that make a third are a merge, and all merges of a piece stand
    together. `added` pieces are found before anything is joined.
    """
    known = set(pairs)
    if len(known) != len(pairs):
        return False
    for piece in vocabulary:
        if piece in added:
            continue
        for cut in range(1, len(piece)):
            left = piece[:cut]
            right = piece[cut:]
            is_possible = left in vocabulary and right in vocabulary
            if is_possible and (left, right) not in known:
                return False
    apart = _standing_apart(pairs)
    return _are_runs(apart) and _runs_agree(apart, pairs)


def _standing_apart(pairs: list[Pair]) -> set[str]:
    """Pieces between whose merges others stand."""
    apart: set[str] = set()
    finished: set[str] = set()
    current = ""
    for left, right in pairs:
        made = left + right
        if made == current:
            continue
        if made in finished:
            apart.add(made)
        finished.add(current)
        current = made
    return apart


def _are_runs(pieces: set[str]) -> bool:
    """Whether each is one character again and again, as Gemma's spaces and line ends are."""
    return all(piece == piece[0] * len(piece) for piece in pieces)


def _runs_agree(pieces: set[str], pairs: list[Pair]) -> bool:
    """Whether runs come to the same by scores and by merges, up to twice the longest piece."""
    by_pair = {pair: rank for rank, pair in enumerate(pairs)}
    by_piece = ranks_by_piece(pairs)
    longest: dict[str, int] = {}
    for piece in pieces:
        longest[piece[0]] = max(longest.get(piece[0], 0), len(piece))
    for character, length in longest.items():
        for count in range(2, 2 * length + 1):
            run = character * count
            merged = _joined(run, by_pair.get)
            scored = _joined(run, lambda pair: by_piece.get(pair[0] + pair[1]))
            if merged != scored:
                return False
    return True


def reach_all(vocabulary: Iterable[str], pairs: list[Pair]) -> bool:
    """Whether merges alone make every piece, so that looking for whole words changes nothing."""
    ranks = {pair: rank for rank, pair in enumerate(pairs)}
    return all(_joined(piece, ranks.get) == [piece] for piece in vocabulary)


def _joined(text: str, rank_of: Callable[[Pair], int | None]) -> list[str]:
    """Its pieces after all joins; the lowest rank goes first, the leftmost of those."""
    parts = list(text)
    while True:
        ranked = []
        for place, pair in enumerate(pairwise(parts)):
            rank = rank_of(pair)
            if rank is not None:
                ranked.append((rank, place))
        if not ranked:
            return parts
        _, place = min(ranked)
        parts[place : place + 2] = [parts[place] + parts[place + 1]]
