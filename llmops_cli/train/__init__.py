"""Training: data, the run, and the built-in demo model's task."""
