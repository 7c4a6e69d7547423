"""An OpenAI-style server over llama.cpp with continuous batching."""
