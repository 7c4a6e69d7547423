"""Programs that run inside an engine's own Python. Never imported by the rest of the toolkit."""
