"""Layers whose matrices are cut over ranks that compute the same rows together."""
