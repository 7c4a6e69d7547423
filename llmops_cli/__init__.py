"""llmops: train, quantize, serve, measure and compare language models over the real engines."""

__version__ = "0.1.0"
