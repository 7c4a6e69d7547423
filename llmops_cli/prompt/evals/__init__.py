"""`llmops prompt eval`: prompts times models times cases, measured and compared in pairs."""
