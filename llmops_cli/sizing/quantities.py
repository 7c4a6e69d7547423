"""Sizes in words."""

from __future__ import annotations

GB = 1e9


def gb(size_bytes: float) -> str:
    """`1,104 GB`, `9.6 GB`."""
    size = size_bytes / GB
    return f"{size:,.0f} GB" if size >= 10 else f"{size:,.2g} GB"
