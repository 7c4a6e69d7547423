"""Prompts that the gateway serves by name: read once for all workers, applied to a request."""
