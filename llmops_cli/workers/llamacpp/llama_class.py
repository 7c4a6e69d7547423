"""What Transformers takes from a folder that names its tokenizers of Llama: not its file alone."""

from pathlib import Path

from _shared.protocol import JobError, Json
from llamacpp.added_tokens import SPACE_MARK
from llamacpp.architectures import ARCHITECTURES, GEMMA
from llamacpp.tokenizer_files import read_if_there

CODE_LLAMA = "CodeLlamaTokenizer"
LLAMA_CLASSES = ("LlamaTokenizer", CODE_LLAMA)
ASKED = ("LlamaForCausalLM", "Qwen3ForCausalLM")
"""Which take the class that a folder names, beside Gemma's."""


def check_code_llama(tokenizer: Json, folder: Path, architecture: str) -> None:
    """Raises: JobError where its class is named, and makes another tokenizer than the file's.

    It takes any pieces for its own kind, and puts BOS first.
    """
    if not _is_code_llama(folder, architecture):
        return
    puts_bos = (tokenizer.get("post_processor") or {}).get("type") == "TemplateProcessing"
    if not puts_bos or not tokenizer["model"].get("byte_fallback"):
        raise _other_than_code_llama(folder, "tokenizer.json")


def check_code_llama_alone(folder: Path, architecture: str) -> None:
    """The same of a folder with tokenizer.model alone."""
    puts_bos = bool(_config(folder).get("add_bos_token"))
    if _is_code_llama(folder, architecture) and not puts_bos:
        raise _other_than_code_llama(folder, "tokenizer.model")


def _is_code_llama(folder: Path, architecture: str) -> bool:
    named = str(_config(folder).get("tokenizer_class") or "").removesuffix("Fast")
    return named == CODE_LLAMA and reads_as_class(folder, architecture)


def _other_than_code_llama(folder: Path, file: str) -> JobError:
    message = f"{folder}: Transformers makes a {CODE_LLAMA} of its {file}"
    hint = "which is of another kind; is tokenizer_class of tokenizer_config.json right?"
    return JobError("UsageError", message, hint)


def reads_as_class(folder: Path, architecture: str) -> bool:
    """Whether AutoTokenizer makes one of its own, which it does not of Llama's byte-level BPE."""
    is_asked = architecture in ASKED or ARCHITECTURES[architecture].gguf in GEMMA
    named = str(_config(folder).get("tokenizer_class") or "")
    return is_asked and named.removesuffix("Fast") in LLAMA_CLASSES


def puts_space(folder: Path, architecture: str) -> bool:
    """Whether the class does before a text."""
    is_switched_off = _config(folder).get("add_prefix_space") is False
    return reads_as_class(folder, architecture) and not is_switched_off


def with_its_spaces(tokenizer: Json, folder: Path, architecture: str) -> Json:
    """The same tokenizer.json with the spaces of the class, which passes over the file's own."""
    scheme = "always" if puts_space(folder, architecture) else "never"
    cut = {"type": "Metaspace", "replacement": SPACE_MARK, "prepend_scheme": scheme, "split": False}
    return {**tokenizer, "normalizer": None, "pre_tokenizer": cut}


def _config(folder: Path) -> Json:
    return read_if_there(folder / "tokenizer_config.json")
