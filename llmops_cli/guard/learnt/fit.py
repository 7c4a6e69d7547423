"""Weights from labelled texts: logistic regression over hashed words and pairs.

scikit-learn fits, and is asked for only here: a guard needs numpy alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from llmops_cli.core.errors import EnvironmentMissing
from llmops_cli.guard.evaluation.rates import LabelledText
from llmops_cli.guard.learnt.features import BUCKETS
from llmops_cli.guard.learnt.model import Weights, threshold_of
from llmops_cli.guard.logistic import unfitted

Array = NDArray[np.floating]
STRENGTH = 5.0
"""Of the data against the ridge; scikit-learn's C."""
ROUNDS = 3
"""Fits: each takes, of an attack's windows, the one that the fit before found most suspicious."""
LEAST_TEXTS = 2
"""That have a feature: of one text's own words nothing is learnt."""
EACH_MOST = 1_000
"""Texts of one label of a source that are fitted to; more of the same teach little."""


class Example(msgspec.Struct, frozen=True, kw_only=True):
    """A labelled text as the stage sees it (features of its windows), and what the rules say.

    `rules_score`: their evidence, 1 of which is an attack. `is_decided`: they stop it.
    `is_explained`: they see what would be an attack elsewhere.
    """

    row: LabelledText
    windows: tuple[set[int], ...]
    rules_score: float
    is_decided: bool
    is_explained: bool

    def logit(self, weights: Weights) -> float:
        """Of its most suspicious window, less what a longer text is asked for."""
        if not self.windows:
            return -np.inf
        most = max(weights.logit(window) for window in self.windows)
        return most - threshold_of(0.0, len(self.windows))


def need_libraries() -> None:
    """Raises: EnvironmentMissing."""
    try:
        import sklearn  # noqa: F401
    except ImportError:
        raise EnvironmentMissing(
            "a learnt stage is fitted by scikit-learn, which is not here",
            hint="pip install 'llmops-cli[moderation]'",
        ) from None


def fitted(examples: Sequence[Example]) -> Weights:
    """Attacks count as much as honest texts."""
    counted = _some_of_each([example for example in examples if example.windows])
    if not has_both(counted):  # the others have no words
        return as_kept(np.zeros(BUCKETS), np.zeros(BUCKETS), 0.0)
    weights = _logistic_fit(*_told_by(counted, None))
    is_long = any(len(example.windows) > 1 for example in counted)
    for _ in range(ROUNDS - 1 if is_long else 0):
        weights = _logistic_fit(*_told_by(counted, weights))
    return weights


def has_both(examples: Sequence[Example]) -> bool:
    """Attacks and honest texts."""
    return len({example.row.is_attack for example in examples}) > 1


def _some_of_each(examples: Sequence[Example]) -> list[Example]:
    """At most EACH_MOST of each label of each source, evenly over its rows."""
    groups: dict[tuple[str, bool], list[Example]] = {}
    for example in examples:
        groups.setdefault((example.row.source, example.row.is_attack), []).append(example)
    found = []
    for group in groups.values():
        step = -(-len(group) // EACH_MOST)
        found += group[::step]
    return found


def _told_by(
    examples: Sequence[Example],
    before: Weights | None,
) -> tuple[list[set[int]], list[bool], list[float]]:
    """Windows, whether each is of an attack, and what it counts.

    Of an attack one window is the attack; of an honest text all are honest.
    """
    windows: list[set[int]] = []
    labels: list[bool] = []
    counts: list[float] = []
    for example in examples:
        told = example.windows
        if example.row.is_attack and before is not None:
            told = (max(told, key=before.logit),)
        windows += told
        labels += [example.row.is_attack] * len(told)
        counts += [len(told) ** -0.5] * len(told)
    return windows, labels, counts


def _logistic_fit(
    windows: Sequence[set[int]],
    labels: Sequence[bool],
    counts: Sequence[float],
) -> Weights:
    idf_F = _rarity(windows)
    model = unfitted(STRENGTH)
    model.fit(_as_rows(windows, idf_F), np.array(labels), sample_weight=np.array(counts))
    return as_kept(idf_F, model.coef_[0], float(model.intercept_[0]))


def as_kept(idf_F: Array, w_F: Array, bias: float) -> Weights:
    """Rounded to half precision, in which machines do not differ."""
    told_F = (idf_F * w_F).astype(np.float16)
    squares_F = (idf_F**2).astype(np.float16)
    return Weights(told_F.tolist(), squares_F.tolist(), float(f"{bias:.6g}"))


def _rarity(windows: Sequence[set[int]]) -> Array:
    """Inverse document frequency (smoothed); 0 of what fewer than LEAST_TEXTS have."""
    having = Counter(number for window in windows for number in window)
    idf_F = np.zeros(BUCKETS)
    for number, count in having.items():
        if count >= LEAST_TEXTS:
            idf_F[number] = np.log((1 + len(windows)) / (1 + count)) + 1
    return idf_F


def _as_rows(windows: Sequence[set[int]], idf_F: Array) -> Any:  # Any: scipy has no types
    """Scipy's CSR, each row of length 1."""
    from scipy.sparse import csr_array

    places = [0]
    numbers: list[int] = []
    values: list[Array] = []
    for window in windows:
        features = sorted(window)
        weighed = idf_F[features]
        length = float(np.sqrt(weighed @ weighed)) or 1.0
        numbers += features
        values.append(weighed / length)
        places.append(len(numbers))
    rows = csr_array(
        (np.concatenate(values), numbers, places), shape=(len(windows), BUCKETS), dtype=np.float64
    )
    rows.indices = rows.indices.astype(np.int32)  # liblinear's own
    rows.indptr = rows.indptr.astype(np.int32)
    return rows


def just_above(descending: Sequence[float], share: float) -> float:
    """The least value that at most this share of the numbers reach."""
    allowed = int(share * len(descending))
    if allowed >= len(descending):
        return 0.0
    return float(np.nextafter(descending[allowed], np.inf))
