"""One program a quantization library; each writes a folder that the engines read."""
