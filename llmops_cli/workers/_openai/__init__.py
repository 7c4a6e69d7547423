"""An OpenAI-style server around an engine that computes tokens itself, whichever it is."""
