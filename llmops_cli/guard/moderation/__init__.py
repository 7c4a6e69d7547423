"""Moderation by a small local model: OpenAI's categories, from labels of one's own or a hub's."""
