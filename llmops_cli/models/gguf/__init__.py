"""What a GGUF file says of itself, read without any library and believed only within bounds."""
