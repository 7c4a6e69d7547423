"""Questions that are alike: k-means over their vectors.

The vectors are an embedding endpoint's where one is named, else TF-IDF of words and of their
beginnings, hashed to a few hundred places. The same questions and seed give the same clusters.
"""

from __future__ import annotations

import math
import re
import zlib
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from numpy import ndarray
    from numpy.random import Generator

WORD = re.compile(r"\w+")
PLACES = 512
"""Of a hashed vector."""
ROUNDS = 50

Vectors = Sequence[Sequence[float]]


def ordered_clusters(
    questions: Sequence[str],
    count: int,
    *,
    seed: int = 0,
    vectors: Vectors | None = None,
) -> list[list[str]]:
    """At most `count` clusters, the largest first; in each, those nearest its middle first."""
    import numpy as np

    distinct = list(dict.fromkeys(questions))
    if not distinct:
        return []
    x_NC = _unit(np.asarray(vectors if vectors is not None else hashed_vectors(distinct)))
    centers_KC = _centers(x_NC, min(count, len(distinct)), np.random.default_rng(seed))
    distance_NK = ((x_NC[:, None, :] - centers_KC[None, :, :]) ** 2).sum(axis=2)
    nearest_N = distance_NK.argmin(axis=1)
    clusters = []
    for cluster in range(len(centers_KC)):
        members = [int(row) for row in np.flatnonzero(nearest_N == cluster)]
        members.sort(key=lambda row: (distance_NK[row, cluster], row))
        clusters.append([distinct[row] for row in members])
    clusters.sort(key=len, reverse=True)
    return [cluster for cluster in clusters if cluster]


def hashed_vectors(texts: Sequence[str]) -> Vectors:
    """TF-IDF of words and their first four letters."""
    documents = [Counter(_features(text)) for text in texts]
    seen_in = Counter(feature for document in documents for feature in document)
    vectors = []
    for document in documents:
        vector = [0.0] * PLACES
        for feature, times in document.items():
            rarity = math.log((1 + len(texts)) / (1 + seen_in[feature])) + 1
            vector[zlib.crc32(feature.encode()) % PLACES] += times * rarity
        vectors.append(vector)
    return vectors


def _features(text: str) -> list[str]:
    words = [word.casefold() for word in WORD.findall(text)]
    shapes = ["#" * len(word) if word.isdigit() else word for word in words]
    return shapes + [f"{word[:4]}-" for word in shapes if len(word) > 4]


def _unit(x_NC: ndarray) -> ndarray:
    import numpy as np

    length_N1 = np.linalg.norm(x_NC, axis=1, keepdims=True)
    unit: ndarray = x_NC / np.maximum(length_N1, 1e-12)
    return unit


def _centers(x_NC: ndarray, count: int, random: Generator) -> ndarray:
    """Lloyd's rounds from k-means++ beginnings (Arthur & Vassilvitskii 2007)."""
    import numpy as np

    centers = [x_NC[random.integers(len(x_NC))]]
    while len(centers) < count:
        to_nearest_N = np.min([((x_NC - center) ** 2).sum(axis=1) for center in centers], axis=0)
        total = to_nearest_N.sum()
        if total <= 0:
            break  # fewer different questions than clusters
        centers.append(x_NC[random.choice(len(x_NC), p=to_nearest_N / total)])
    centers_KC: ndarray = np.stack(centers)
    for _ in range(ROUNDS):
        distance_NK = ((x_NC[:, None, :] - centers_KC[None, :, :]) ** 2).sum(axis=2)
        nearest_N = distance_NK.argmin(axis=1)
        moved_KC = np.stack(
            [_mean(x_NC, nearest_N == k, centers_KC[k]) for k in range(len(centers))]
        )
        if np.allclose(moved_KC, centers_KC):
            break
        centers_KC = moved_KC
    return centers_KC


def _mean(x_NC: ndarray, chosen_N: ndarray, empty_C: ndarray) -> ndarray:
    """The middle of some rows; a cluster that lost them all stays where it was."""
    if not chosen_N.any():
        return empty_C
    middle: ndarray = x_NC[chosen_N].mean(axis=0)
    return middle
