"""The one thing that CTranslate2's own configuration does not tell of a model."""

CONTEXT_KEY = "max_position_embeddings"
"""In config.json beside CTranslate2's own keys, by the name that Hugging Face folders give it."""
