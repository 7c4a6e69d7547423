"""`llmops convert`: the same weights in another format, and what that took."""
