"""Training programs."""
