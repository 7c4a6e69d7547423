"""What an evaluator is."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

CONTEXT = 1024


class Evaluator(msgspec.Struct, frozen=True, kw_only=True):
    """Task accuracy over the OpenAI API: `measure(url, model)` gives a share for each of its
    tasks.
    """

    name: str
    measure: Callable[[str, str], dict[str, float]]
