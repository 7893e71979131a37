"""The table of payloads: which class a message's kind stands for."""

from __future__ import annotations

from protocols.messages.parameters import Components, WeightDeltas, Weights
from protocols.messages.payload import Payload
from protocols.messages.representations import (
    EmbeddingGradients,
    Embeddings,
    LabelVotes,
    Logits,
    PrivateEmbeddings,
    Prototypes,
    PseudoLabels,
    Rankings,
    SimilarityTargets,
    Statistics,
)
from protocols.messages.scalars import Control, Metrics

PAYLOADS: dict[str, type[Payload]] = {
    "embeddings": Embeddings,
    "similarity_targets": SimilarityTargets,
    "prototypes": Prototypes,
    "statistics": Statistics,
    "private_embeddings": PrivateEmbeddings,
    "embedding_gradients": EmbeddingGradients,
    "pseudo_labels": PseudoLabels,
    "label_votes": LabelVotes,
    "logits": Logits,
    "rankings": Rankings,
    "weights": Weights,
    "weight_deltas": WeightDeltas,
    "components": Components,
    "metrics": Metrics,
    "control": Control,
}
