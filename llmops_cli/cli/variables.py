"""The environment variables that every command reads, beside those of recipes' fields."""

from __future__ import annotations

OF_A_FIELD = "LLMOPS_COMMAND_FIELD"
VARIABLES = {
    "LLMOPS_API_KEY": "A key for the server that is asked.",
    "LLMOPS_STATE_DIR": "Where the gateway's keys, spending and audit log are; else in the cache.",
    "LLMOPS_LOG_FORMAT": "json: what is said on stderr is a JSON object a line, of engines too.",
    "LLMOPS_MODEL_DIGEST": "What an engine of ours tells of its model; whoever starts it sets it.",
    "LLMOPS_ENV_CREATE": "0: no environment of an engine is made by itself.",
    "LLMOPS_CHECK": "0: what was converted or quantized is not compared with the original.",
    "XDG_CACHE_HOME": "Where models, environments and what was converted are kept.",
    "XDG_CONFIG_HOME": "Where llmops/envs.yaml, with Pythons of your own, is looked for.",
}
