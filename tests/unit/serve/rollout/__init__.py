"""Tests of serve/rollout."""
