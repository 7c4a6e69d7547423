"""A logistic model over hashed features, as scikit-learn fits it."""

from __future__ import annotations

from typing import Any

MOST_STEPS = 2_000


def unfitted(strength: float) -> Any:  # Any: scikit-learn has no types
    """`strength`: of the data against the ridge. Rare and common labels weigh alike.

    The dual's work grows with what texts have, not with the number of features, on one core.
    """
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(
        C=strength,
        class_weight="balanced",
        dual=True,
        max_iter=MOST_STEPS,
        random_state=0,
        solver="liblinear",
    )
