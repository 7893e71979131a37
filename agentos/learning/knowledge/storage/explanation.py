"""The grounds of a claim: its parts, its rivals, and every decision about it."""

from __future__ import annotations

from dataclasses import dataclass

from agentos.learning.knowledge.storage.changes import Moved, Weighed
from agentos.learning.knowledge.storage.knowledge_state import KnowledgeState
from agents.knowledge.claims import Claim


@dataclass(frozen=True)
class Why:
    """The grounds of a claim.

    Attributes:
        claim: the claim with its present status.
        whole: the claim that stands for it since a merge, or none.
        parts: the claims that were merged into it.
        decisions: what moved or weighed it, oldest first.
        rivals: the claims that it was weighed against.
    """

    claim: Claim
    whole: Claim | None
    parts: list[Claim]
    decisions: list[Moved | Weighed]
    rivals: list[Claim]


def explained(state: KnowledgeState, claim: Claim) -> Why:
    """Return what stands behind a claim of a state."""
    decisions = state.decisions.get(claim.digest, [])
    rivals = {r: None for d in decisions if isinstance(d, Weighed) for r in d.rivals}
    whole = state.standing(claim.digest)
    return Why(
        claim=claim,
        whole=state.claims[whole] if whole != claim.digest else None,
        parts=[state.claims[part] for part, into in state.wholes.items() if into == claim.digest],
        decisions=list(decisions),
        rivals=[state.claims[rival] for rival in rivals if rival in state.claims],
    )
