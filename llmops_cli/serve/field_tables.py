"""The fields of each endpoint: OpenAI's, and those of servers that speak as it does.

A field that stands in no table is not sent. So are, on purpose, fields that choose another model or
a dearer service (`models`, `service_tier`, `lora_path`), that let a server fetch text which nobody
here reads (`web_search_options`, `plugins`, `data_sources`), that make an image cost more
(`mm_processor_kwargs`), that jump a queue (`priority`) and that reach into a cluster
(`kv_transfer_params`, `bootstrap_host`). The file may allow any of them for a model.

Sources: openai-python 3.54 (chat, completions, embeddings, responses), vLLM 0.32, SGLang's and
Ollama's OpenAI servers, llama.cpp's server, TGI's messages API, Mistral, DeepSeek, OpenRouter.
"""

from __future__ import annotations

from llmops_cli.serve.fields import (
    Field,
    FieldTable,
    answers,
    context,
    limits,
    messages,
    more,
    passed,
    refused,
    text,
    whole,
    words,
)

DEFINITION = "definition"
"""Of tools and forms: an application's, which may give orders."""
TEMPLATE = "it would replace the model's own template, so that nobody knows what the model reads"
UNREADABLE = "nobody here can read what stands in it"
CODE = "it is a program for the server"

_SAMPLING = passed(
    "model stream stream_options user temperature top_p top_a min_p typical_p tfs_z"
    " stop stop_token_ids stop_regex no_stop_trim include_stop_str_in_output ignore_eos"
    " frequency_penalty presence_penalty repetition_penalty repeat_penalty"
    " penalize_nl length_penalty early_stopping logit_bias allowed_token_ids bad_words"
    " skip_special_tokens spaces_between_special_tokens add_special_tokens"
    " dynatemp_range dynatemp_exponent mirostat mirostat_tau mirostat_eta"
    " xtc_probability xtc_threshold dry_multiplier dry_base dry_allowed_length"
    " dry_penalty_last_n dry_sequence_breakers samplers watermarking watermark"
    " repetition_detection safe_prompt"
) | whole("top_k seed random_seed repeat_last_n min_keep")
_BOOKKEEPING = passed(
    "metadata store safety_identifier prompt_cache_key prompt_cache_retention prompt_cache_options"
    " cache_salt cache_prompt id_slot n_keep n_discard t_max_predict_ms timings_per_token"
    " post_sampling_probs return_tokens return_token_ids return_tokens_as_token_ids"
    " return_token_offsets stream_interval usage"
)
_LOGPROBS = passed("logprob_token_ids return_logprob") | whole(
    "logprobs top_logprobs prompt_logprobs n_probs"
)
_CUTS_PROMPT = words("truncation_side truncate truncation") | whole("truncate_prompt_tokens")
_FORMS: dict[str, Field] = text(
    "response_format json_schema structured_outputs structured_output guided_json guided_regex"
    " guided_choice guided_grammar guided_whitespace_pattern grammar grammar_triggers regex ebnf"
    " structural_tag",
    role=DEFINITION,
) | words("guided_decoding_backend grammar_lazy")
_THINKING = words(
    "reasoning_effort include_reasoning reasoning_format separate_reasoning stream_reasoning"
    " enable_thinking thinking_forced_open parse_tool_calls verbosity prompt_mode"
) | more(
    "reasoning thinking thinking_budget thinking_budget_tokens thinking_token_budget"
    " reasoning_budget"
)
REFUSED = (
    refused("chat_template tokenizer_config", reason=TEMPLATE)
    | refused("prompt_embeds input_embeds prompt_token_ids input_ids", reason=UNREADABLE)
    | refused("custom_logit_processor logits_processors", reason=CODE)
)
_GENERATING: FieldTable = (
    _SAMPLING
    | _BOOKKEEPING
    | _LOGPROBS
    | _CUTS_PROMPT
    | _FORMS
    | _THINKING
    | REFUSED
    | answers("n best_of")
    | more("use_beam_search echo min_tokens")
)

CHAT_FIELDS: FieldTable = {
    **_GENERATING,
    **messages("messages"),
    **text("tools functions tool_choice function_call tool_prompt", role=DEFINITION),
    **text("documents", role="document"),
    **text("chat_template_kwargs"),
    **text("system", role="system"),
    **text("prediction", role="assistant"),
    **limits("max_tokens max_completion_tokens n_predict"),
    **words(
        "parallel_tool_calls modalities audio add_generation_prompt continue_final_message"
        " citation_options"
    ),
}
COMPLETION_FIELDS: FieldTable = {
    **_GENERATING,
    **text("prompt suffix"),
    **limits("max_tokens n_predict"),
}
EMBEDDING_FIELDS: FieldTable = {
    **messages("input"),
    **text("instruction"),
    **text("chat_template_kwargs"),
    **_CUTS_PROMPT,
    **REFUSED,
    **passed("model user cache_salt metadata"),
    **words(
        "encoding_format embedding_types output_dtype embed_dtype endianness input_type task"
        " task_type prompt_name late_chunking normalized normalize add_special_tokens"
    ),
    **whole("dimensions output_dimension"),
}
RESPONSE_FIELDS: FieldTable = {
    **messages("input"),
    **text("instructions", role="system"),
    **text("tools tool_choice text", role=DEFINITION),
    **text("chat_template_kwargs"),
    **_FORMS,
    **REFUSED,
    **limits("max_output_tokens"),
    **more("reasoning max_tool_calls"),
    **context("previous_response_id conversation prompt background"),
    **_SAMPLING,
    **_BOOKKEEPING,
    **passed("client_metadata"),
    **words(
        "include include_reasoning parallel_tool_calls truncation context_management verbosity"
    ),
    **whole("top_logprobs"),
}
MODERATION_FIELDS: FieldTable = {
    **messages("input"),
    **passed("model user metadata"),
}
