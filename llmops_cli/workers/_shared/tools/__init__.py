"""Calls of tools: the forms in which models write them, and reading them out of a stream."""
