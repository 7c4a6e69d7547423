"""A server that already runs somewhere and answers OpenAI-style HTTP, whoever started it."""

from __future__ import annotations

from llmops_cli.core.artifact import Artifact
from llmops_cli.core.errors import UsageError
from llmops_cli.core.spec import Env, ServerSpec
from llmops_cli.core.urls import server_url
from llmops_cli.engines.engine import EngineFacts, Signature
from llmops_cli.engines.options import EngineOptions

SIGNATURES = (
    Signature(name="SGLang", owned_by=("sglang",), version_path="/get_server_info"),
    Signature(name="Ollama", owned_by=("library",), version_path="/api/version"),
    Signature(name="LM Studio", owned_by=("organization_owner",)),
    Signature(name="TensorRT-LLM", owned_by=("tensorrt_llm",)),
    Signature(name="Triton", owned_by=("Triton Inference Server",)),
    Signature(name="OpenAI", owned_by=("openai", "system")),
    Signature(name="DeepSpeed-MII", owned_by=("mii",)),
    # its list of models names the model's owner
    Signature(
        name="TGI",
        info={"max_concurrent_requests": None, "router": "text-generation-router"},
        version_path="/info",
    ),
)


class Remote:
    """`url` is the only option; servers that we do not start are recognised by SIGNATURES."""

    facts = EngineFacts(
        options=("url",),
        signatures=SIGNATURES,
        metrics={
            "running": ("tgi_batch_current_size", "sglang:num_running_reqs"),
            "queued": ("tgi_queue_size", "sglang:num_queue_reqs"),
            "kv_cache_use": ("sglang:token_usage",),
            "batch_tokens": ("tgi_batch_current_max_tokens",),
        },
    )

    def check(self, options: EngineOptions) -> None:
        """Raises: UsageError for what is no URL, or one that holds a password."""
        url = options.own.get("url", "")
        if not url:
            raise UsageError("backend 'remote' needs a server", hint="--url http://127.0.0.1:8000")
        server_url(url, field="url")

    def server(
        self,
        artifact: Artifact,
        *,
        options: EngineOptions,
        env: Env | None,
        port: int,
        parallel: int,
    ) -> ServerSpec:
        self.check(options)
        url = server_url(options.own["url"], field="url")
        return ServerSpec(engine="remote", argv=(), url=url, model=artifact.reference)
