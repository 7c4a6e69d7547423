"""Programs over Transformers: the server, quality and importance matrices."""
