"""Adapter that lets mteb evaluate an encoder.

mteb is an optional dependency, so it is imported where it is used.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentos.evaluation.base import unit_rows
from agents.models.text_encoder import TextEncoder


class MtebEncoder:
    """An encoder behind mteb's ``EncoderProtocol``.

    Prompts are not used. Similarity is the cosine.

    Args:
        encoder: the encoder, such as `agentos.evaluation.loaded_encoder.LoadedEncoder`.
        name: its name in mteb's results, as ``organisation/name``.

    Example:
        >>> import mteb  # doctest: +SKIP
        >>> from agentos.evaluation.loaded_encoder import LoadedEncoder
        >>> encoder = MtebEncoder(LoadedEncoder.load("runs/x/encoders/agent-0"))  # doctest: +SKIP
        >>> mteb.evaluate(encoder, mteb.get_tasks(["Banking77Classification"]))  # doctest: +SKIP
    """

    def __init__(self, encoder: TextEncoder, name: str = "agentos/encoder") -> None:
        self._encoder = encoder
        self._name = name

    def encode(self, inputs: Any, **_: Any) -> NDArray[np.float32]:
        """Return embeddings `[N, D]` of the texts of mteb's batches, in their order."""
        texts = [str(text) for batch in inputs for text in batch["text"]]
        return self._encoder.embed(texts)

    def similarity(self, embeddings1: Any, embeddings2: Any) -> NDArray[np.float64]:
        """Return the cosines `[N, M]` of all pairs."""
        cosines: NDArray[np.float64] = _rows(embeddings1) @ _rows(embeddings2).T
        return cosines

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> NDArray[np.float64]:
        """Return the cosine `[N]` of each pair."""
        cosines: NDArray[np.float64] = np.sum(_rows(embeddings1) * _rows(embeddings2), axis=1)
        return cosines

    @property
    def mteb_model_meta(self) -> Any:
        """Metadata that mteb stores with its results."""
        from mteb.models.model_meta import ModelMeta

        return ModelMeta.create_empty({"name": self._name, "revision": "local"})


def _rows(embeddings: Any) -> NDArray[np.float64]:
    return unit_rows(np.atleast_2d(np.asarray(embeddings)))
