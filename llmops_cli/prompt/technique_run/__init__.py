"""`llmops prompt run`: a question, or cases with answers, by one technique or several."""
