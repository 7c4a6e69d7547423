"""Methods change a model: a request becomes JobSpecs; run.py executes and measures them."""

from __future__ import annotations

METHODS = {"gguf": "llmops_cli.quantize.gguf:Gguf"}
