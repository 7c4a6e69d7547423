"""Words of the APIs themselves: what stands for a kind, a role or a key, and for no text."""

from __future__ import annotations

ROLES = frozenset(("system", "developer", "user", "assistant", "tool", "function"))
API_WORDS = ROLES | frozenset(
    (
        "text",
        "input_text",
        "output_text",
        "message",
        "image_url",
        "input_image",
        "input_audio",
        "audio_url",
        "video_url",
        "file",
        "input_file",
        "custom",
        "function_call",
        "function_call_output",
        "reasoning",
        "json_object",
        "json_schema",
        "auto",
        "none",
        "required",
        "ephemeral",
        "base64",
        "high",
        "low",
        "wav",
        "mp3",
        "string",
        "number",
        "integer",
        "boolean",
        "array",
        "object",
        "null",
    )
)
"""Values of `type` and `role` that say what something is, and nothing to the model."""
KINDS = ("type", "role")
STRUCTURE = frozenset(
    (
        "role",
        "content",
        "type",
        "text",
        "name",
        "function",
        "arguments",
        "tool_calls",
        "tool_call_id",
        "call_id",
        "id",
        "output",
        "input",
        "status",
        "summary",
        "parameters",
        "description",
        "properties",
        "required",
        "items",
        "enum",
        "strict",
        "schema",
        "json_schema",
        "additionalProperties",
        "cache_control",
        "refusal",
        "reasoning",
        "reasoning_content",
        "annotations",
        "detail",
        "format",
        "url",
        "data",
        "title",
    )
)
"""Keys that the APIs themselves have. Any other key is a word that somebody chose."""
