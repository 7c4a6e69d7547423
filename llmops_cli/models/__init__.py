"""What a user types as MODEL, as an artifact in the format that an engine needs."""
