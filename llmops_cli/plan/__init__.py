"""`llmops plan`: memory, speed and cost of a model before any of it is spent, with bands."""
