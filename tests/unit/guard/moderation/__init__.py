"""Moderation by a small local model."""
