"""Messages: an envelope, and one class per kind of payload."""

from __future__ import annotations

from protocols.messages.knowledge import Claims
from protocols.messages.masked import Keys, MaskedSum
from protocols.messages.message import DETACHED, PROTOCOL_VERSION, Envelope, Gradient, Message
from protocols.messages.next_tokens import NextTokens
from protocols.messages.parameters import Components, WeightDeltas, Weights
from protocols.messages.payload import PROBABILITY_TOLERANCE, Payload
from protocols.messages.registry import PAYLOADS
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

__all__ = [
    "Announcement",
    "Answer",
    "Assignment",
    "Bid",
    "Claims",
    "Components",
    "Control",
    "DETACHED",
    "EmbeddingGradients",
    "Embeddings",
    "Envelope",
    "Escalation",
    "Gradient",
    "Keys",
    "LabelVotes",
    "Logits",
    "MaskedSum",
    "Message",
    "Metrics",
    "NextTokens",
    "PAYLOADS",
    "PROBABILITY_TOLERANCE",
    "PROTOCOL_VERSION",
    "Payload",
    "PrivateEmbeddings",
    "Prototypes",
    "PseudoLabels",
    "RankedAnswer",
    "Rankings",
    "SimilarityTargets",
    "Statistics",
    "Verdict",
    "WeightDeltas",
    "Weights",
]
