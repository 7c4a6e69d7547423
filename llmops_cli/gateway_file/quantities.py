"""Numbers that the gateway's file has in many places, with their bounds."""

from __future__ import annotations

from typing import Annotated

import msgspec

from llmops_cli.core.fields import NonNegative

LARGEST_EXACT = (1 << 53) - 1
"""What is more is not kept exactly by everything that counts: files, Redis, JSON."""
DAY_S = 86_400

Count = Annotated[int, msgspec.Meta(ge=1, le=LARGEST_EXACT)]
Waiting = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
Dollars = NonNegative
Seconds = Annotated[float, msgspec.Meta(gt=0, le=DAY_S)]
Pause = Annotated[float, msgspec.Meta(ge=0, le=DAY_S)]
Attempts = Annotated[int, msgspec.Meta(ge=0, le=10)]
Replicas = Annotated[int, msgspec.Meta(ge=1, le=64)]

Percent = Annotated[int, msgspec.Meta(ge=1, le=100)]
AboveZero = Annotated[float, msgspec.Meta(gt=0)]
TagName = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
KeyName = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
"""A key of the gateway's, by its name or its id."""
