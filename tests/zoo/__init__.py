"""Tiny random models of every form that the GGUF converter must get right, or refuse by name."""
