"""`llmops prompt optimize`: a prompt changed step by step, and accepted on data it never saw."""
