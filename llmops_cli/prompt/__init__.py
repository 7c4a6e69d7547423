"""`llmops prompt`: prompts that are kept as files, tried by technique, measured and exported."""
