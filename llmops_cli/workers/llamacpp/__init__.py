"""Programs over llama.cpp and GGUF files: the server, conversion, quantization, quality."""
