"""A run's state on disk: written beside training, whole or absent, and found again."""
