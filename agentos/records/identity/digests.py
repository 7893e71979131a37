"""Computation of the fingerprint of a run from its text, its tokenizers, its encoders and its files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agentos.data.corpus import Corpus
from agentos.data.tokenization.tokenizer import content_digest
from agentos.records.identity.fingerprint import Fingerprint
from agents.config import EncoderConfig, base_model_of
from agents.training.blueprint import Group

_OF_MODELS = frozenset({".json", ".txt", ".model", ".safetensors", ".bin", ".pt", ".py", ".jinja"})
"""Endings of the files in the folder of a model that can change what it computes."""
_BATCH = 4096
_CHUNK = 1 << 20


def of_text(corpus: Corpus) -> Fingerprint:
    """Return the digests of the parts of a corpus."""
    shares = hashlib.blake2b(digest_size=16)
    for shard in corpus.shards:
        shares.update(len(shard).to_bytes(8, "little"))
        shares.update(np.ascontiguousarray(shard, dtype="<i8").tobytes())
    return Fingerprint(
        train=_documents(corpus, corpus.train),
        anchors=_documents(corpus, corpus.anchors),
        heldout=_documents(corpus, corpus.heldout),
        division=shares.hexdigest(),
    )


def of_run(
    corpus: Corpus, groups: Sequence[Group], sections: Iterable[Mapping[str, Any]]
) -> Fingerprint:
    """Return the fingerprint of a run.

    Args:
        corpus: its text.
        groups: its agents' encoders and tokenizers.
        sections: those sections of its configuration, as plain values, that may name other files.
    """
    return of_text(corpus).model_copy(
        update={
            "tokenizers": {
                group.encoder.origin: content_digest(group.tokenizer) for group in groups
            },
            "encoders": of_encoders(group.encoder for group in groups).encoders,
            "files": {
                path: digest_of(Path(path).expanduser())
                for section in sections
                for path in _paths(section)
                if Path(path).expanduser().exists()
            },
        }
    )


def of_encoders(encoders: Iterable[EncoderConfig]) -> Fingerprint:
    """Return the digests of the folders that encoders are loaded from."""
    sources = {source for encoder in encoders for source in _sources(encoder)}
    return Fingerprint(
        encoders={str(path): digest_of(path, _OF_MODELS) for path in sorted(sources)}
    )


def digest_of(path: Path, endings: frozenset[str] | None = None) -> str:
    """Return a digest of a file, or of the names and contents of the files in a folder.

    Args:
        path: of either.
        endings: of the files of a folder that count; None for all. Hidden ones never do.
    """
    digest = hashlib.blake2b(digest_size=16)
    for file in [path] if path.is_file() else _files(path, endings):
        digest.update(f"{file.relative_to(path).as_posix()}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
    return digest.hexdigest()


def _files(folder: Path, endings: frozenset[str] | None) -> list[Path]:
    return sorted(
        path
        for path in folder.rglob("*")
        if (endings is None or path.suffix in endings)
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
    )


def _documents(corpus: Corpus, rows: np.ndarray) -> str:
    """Return a digest of the texts and labels of some rows, in their order."""
    digest = hashlib.blake2b(digest_size=16)
    for start in range(0, len(rows), _BATCH):
        part = rows[start : start + _BATCH]
        for text, label in zip(corpus.texts(part), corpus.labels(part), strict=True):
            for value in (text, label):
                data = b"" if value is None else value.encode("utf-8", "surrogatepass")
                digest.update(f"{'-' if value is None else len(data)}:".encode())
                digest.update(data)
    return digest.hexdigest()


def _sources(encoder: EncoderConfig) -> Iterator[Path]:
    """Yield the folders that an encoder is loaded from: its own, and that of the model it adapts."""
    if encoder.from_scratch:
        return
    for origin in filter(None, (encoder.origin, base_model_of(encoder))):
        folder = Path(origin) if Path(origin).is_dir() else _cached_model(origin)
        if folder is not None:
            yield folder


def _cached_model(name: str) -> Path | None:
    """Return the folder of a model in the local Hugging Face cache, if it is there."""
    from transformers.utils.hub import cached_file

    try:
        found = cached_file(name, "config.json", local_files_only=True)
    except (OSError, ValueError):
        return None
    return None if found is None else Path(found).parent


def _paths(value: Any, key: str = "") -> Iterator[str]:
    """Yield the values of all fields of a configuration that are named ``path``."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _paths(inner, str(name))
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _paths(inner, key)
    elif key == "path" and isinstance(value, str):
        yield value
