"""The table of payloads: which class a message's kind stands for."""

from __future__ import annotations

from protocols.messages.knowledge import Claims
from protocols.messages.masked import Keys, MaskedSum
from protocols.messages.next_tokens import NextTokens
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
from protocols.messages.tasks import (
    Announcement,
    Answer,
    Assignment,
    Bid,
    Escalation,
    RankedAnswer,
    Verdict,
)

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
    "announcement": Announcement,
    "bid": Bid,
    "assignment": Assignment,
    "answer": Answer,
    "ranked_answer": RankedAnswer,
    "escalation": Escalation,
    "verdict": Verdict,
    "claims": Claims,
    "next_tokens": NextTokens,
    "masked_sum": MaskedSum,
    "keys": Keys,
}
