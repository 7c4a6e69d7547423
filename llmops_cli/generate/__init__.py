"""`llmops generate`: a file of rows, each asked of a model, with its answer in the same place."""
