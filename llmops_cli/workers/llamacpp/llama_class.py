"""What Transformers takes from a folder that names its tokenizers of Llama: not its file alone."""

from pathlib import Path

from _shared.protocol import Json
from llamacpp.added_tokens import SPACE_MARK
from llamacpp.architectures import ARCHITECTURES, GEMMA
from llamacpp.tokenizer_files import read_if_there

LLAMA_CLASSES = ("LlamaTokenizer", "CodeLlamaTokenizer")


def reads_as_class(folder: Path, architecture: str) -> bool:
    """Whether AutoTokenizer makes one of its own, which it does not of Llama's byte-level BPE."""
    is_asked = architecture == "LlamaForCausalLM" or ARCHITECTURES[architecture].gguf in GEMMA
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
