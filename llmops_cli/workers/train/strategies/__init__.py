"""Ways to spread a model over processes, one module each."""
