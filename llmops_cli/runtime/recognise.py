"""Which server answers at a URL, from what it says of itself. Never more than three small
requests.
"""

from __future__ import annotations

from typing import Any

import msgspec

from llmops_cli.runtime.http import Http

OWNERS = {
    "vllm": "vLLM",
    "sglang": "SGLang",
    "llamacpp": "llama.cpp",
    "llmops": "llmops",
    "library": "Ollama",
    "organization_owner": "LM Studio",
    "tensorrt_llm": "TensorRT-LLM",
    "Triton Inference Server": "Triton",
    "openai": "OpenAI",
    "system": "OpenAI",
    "mii": "DeepSpeed-MII",
}
"""`owned_by` in the list of models -> whose server it is."""
VERSIONS = {
    "vLLM": "/version",
    "Ollama": "/api/version",
    "SGLang": "/get_server_info",
    "llama.cpp": "/props",
}
TIMEOUT_S = 3.0


def served_model(url: str, http: Http) -> str | None:
    """The first model that the server lists."""
    text = http.get_text(f"{url}/v1/models", timeout_s=10)
    try:
        return str(msgspec.json.decode(text or "")["data"][0]["id"])
    except (msgspec.DecodeError, KeyError, IndexError, TypeError):
        return None


def recognise(http: Http, url: str) -> str | None:
    """A name and, where the server tells it, a version; None for a server that we do not know."""
    models = _get(http, f"{url}/v1/models").get("data")
    entries = models if isinstance(models, list) else []
    owners = [str(entry.get("owned_by")) for entry in entries if isinstance(entry, dict)]
    name = next((OWNERS[owner] for owner in owners if owner in OWNERS), None)
    if name is None:
        info = _get(http, f"{url}/info")  # TGI names the model's owner in its list
        if "max_concurrent_requests" in info or info.get("router") == "text-generation-router":
            return f"TGI {info.get('version', '')}".strip()
        return None
    path = VERSIONS.get(name)
    found = _get(http, url + path) if path else {}
    version = found.get("version") or found.get("build_info") or ""
    return f"{name} {version}".strip()


def _get(http: Http, url: str) -> dict[str, Any]:  # Any: each server's own fields
    try:
        loaded = msgspec.json.decode(http.get_text(url, timeout_s=TIMEOUT_S) or "{}")
    except msgspec.DecodeError:
        return {}
    return loaded if isinstance(loaded, dict) else {}
