"""Knowledge of an agent: claims, how they are extracted from embeddings, and how frames become comparable."""

from __future__ import annotations

from agents.knowledge.claims import Claim
from agents.knowledge.extract import Extracted, exemplars, prototypes
from agents.knowledge.frames import anchor_frame, frame_of

__all__ = [
    "Claim",
    "Extracted",
    "anchor_frame",
    "exemplars",
    "frame_of",
    "prototypes",
]
