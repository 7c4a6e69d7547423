"""Assertions: what an answer must be, and the score that they make together."""
