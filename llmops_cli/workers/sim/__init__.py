"""A server with scripted delays, for testing what measures."""
