"""The number that is explained: a similarity, or the log-probability of a class.

Legend: B texts, W width of the encoder, D width of mapped embeddings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from agentos.evaluation.loaded_encoder import LoadedEncoder
from agents.models.heads.label_head import LabelHead
from protocols.errors import ConfigurationError


class Target(Protocol):
    """A differentiable number of a text."""

    @property
    def name(self) -> str:
        """Description of the number."""

    def score(self, pooled_BW: Tensor) -> Tensor:
        """Return the number `[B]` of texts, from their pooled states."""


@dataclass(frozen=True)
class Similarity:
    """Cosine to a fixed embedding: to that of another text, or of the explained text itself.

    Args:
        encoder: its normalisation and its map, such as centring, apply.
        reference_D: the fixed embedding, of length 1.
        name: what it is of.
    """

    encoder: LoadedEncoder
    reference_D: Tensor
    name: str

    def score(self, pooled_BW: Tensor) -> Tensor:
        """Return cosines `[B]`."""
        return F.normalize(_mapped(self.encoder, pooled_BW), dim=-1) @ self.reference_D


@dataclass(frozen=True)
class ClassScore:
    """Log-probability of one class by the agent's own classifier, in nats.

    Args:
        head: the classifier.
        index: number of the class.
        name: the class.
    """

    head: LabelHead
    index: int
    name: str

    def score(self, pooled_BW: Tensor) -> Tensor:
        """Return log-probabilities `[B]`."""
        return torch.log_softmax(self.head(pooled_BW), dim=-1)[:, self.index]


def target_of(
    encoder: LoadedEncoder, text: str, other: str | None = None, label: str | None = None
) -> Target:
    """Choose what is explained.

    Args:
        encoder: the encoder.
        text: the explained text.
        other: explain the cosine to this text.
        label: explain the log-probability of this class; ``auto`` for the most probable one. Without
            `other` and `label`, explain the cosine to the text's own whole embedding: which words carry it.

    Raises:
        ConfigurationError: both are asked for, the encoder has no classifier, or the class is unknown.
    """
    if other is not None and label is not None:
        raise ConfigurationError(
            "a class and a similarity cannot be explained at once",
            hint="leave out --class, or the second text",
        )
    if label is not None:
        return _class(encoder, text, label)
    name = "cosine to the other text" if other is not None else "cosine to the whole text"
    pooled_1W = torch.from_numpy(encoder.pooled([text if other is None else other]))
    return Similarity(encoder, F.normalize(_mapped(encoder, pooled_1W), dim=-1)[0], name)


def _class(encoder: LoadedEncoder, text: str, label: str) -> ClassScore:
    if encoder.classifier is None:
        raise ConfigurationError(
            "this encoder has no classifier, so no class can be explained",
            expected="an agent of a run with the objective `labelled`",
            hint="leave out --class",
        )
    head, names = encoder.classifier
    if label == "auto":
        with torch.inference_mode():
            index = int(head(torch.from_numpy(encoder.pooled([text]))).argmax())
    elif label in names:
        index = names.index(label)
    else:
        raise ConfigurationError(
            "the classifier does not know this class",
            expected=f"one of {', '.join(names)}, or auto",
            actual=label,
        )
    return ClassScore(head.eval(), index, f"log-probability of the class {names[index]}")


def _mapped(encoder: LoadedEncoder, pooled_BW: Tensor) -> Tensor:
    """Normalise and map pooled states `[B, W]` into embeddings `[B, D]`, as `LoadedEncoder.embed` does."""
    rows_BD = F.normalize(pooled_BW, dim=-1) if encoder.normalised else pooled_BW
    for map in encoder.maps.values():
        bias = torch.from_numpy(map.bias)
        weight = None if map.weight is None else torch.from_numpy(map.weight)
        rows_BD = rows_BD + bias if weight is None else F.linear(rows_BD, weight, bias)
    return rows_BD
