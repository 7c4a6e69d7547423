"""Numbers that the gateway's file has in many places, with their bounds."""

from __future__ import annotations

from typing import Annotated

import msgspec

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=86_400)]
Count = Annotated[int, msgspec.Meta(ge=1)]
Natural = Annotated[int, msgspec.Meta(ge=0)]
Attempts = Annotated[int, msgspec.Meta(ge=0, le=10)]
Replicas = Annotated[int, msgspec.Meta(ge=1, le=64)]
Dollars = Annotated[float, msgspec.Meta(ge=0)]
Percent = Annotated[int, msgspec.Meta(ge=1, le=100)]
AboveZero = Annotated[float, msgspec.Meta(gt=0)]
