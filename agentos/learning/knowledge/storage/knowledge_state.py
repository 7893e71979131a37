"""The state of a knowledge base: a pure fold over its log."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from agentos.learning.knowledge.storage.changes import (
    Added,
    Change,
    Joined,
    Moved,
    Reduced,
    RolledBack,
    Weighed,
)
from agents.knowledge.claims import Claim, Status


@dataclass
class KnowledgeState:
    """All claims ever made, with their present status, and what was decided about each.

    Attributes:
        claims: by digest, in the order of their arrival; merged parts included.
        wholes: for each merged part, the claim that stands for it.
        decisions: for each claim, the changes that moved or weighed it.
        reduced: the fewer dimensions that claims have; None for those of their frame.
    """

    claims: dict[str, Claim] = field(default_factory=dict)
    wholes: dict[str, str] = field(default_factory=dict)
    decisions: dict[str, list[Moved | Weighed]] = field(default_factory=dict)
    reduced: Reduced | None = None

    def copy(self) -> KnowledgeState:
        """Return a state that can change without this one."""
        decisions = {name: list(decided) for name, decided in self.decisions.items()}
        return KnowledgeState(dict(self.claims), dict(self.wholes), decisions, self.reduced)

    def with_status(self, *statuses: Status) -> list[Claim]:
        """Return the claims of these statuses that stand for themselves."""
        return [
            claim
            for digest, claim in self.claims.items()
            if claim.status in statuses and digest not in self.wholes
        ]

    def standing(self, digest: str) -> str:
        """Return the claim that a claim was merged into, or itself."""
        while digest in self.wholes:
            digest = self.wholes[digest]
        return digest

    def digest(self) -> str:
        """Return a digest of the whole state, equal wherever the same records were folded."""
        held = hashlib.blake2b(digest_size=16)
        for name, claim in self.claims.items():
            held.update(f"{name} {claim.status} {self.wholes.get(name)}\n".encode())
            for decision in self.decisions.get(name, ()):
                held.update(f"{decision.model_dump_json()}\n".encode())
        return held.hexdigest()


def counting(changes: Sequence[Change]) -> list[Change]:
    """Return the changes that count: those that no later rollback took back."""
    # Where each prefix's last counting change stands; -1 for none.
    before: list[int] = [-1]
    chain: list[int] = []
    for place, change in enumerate(changes):
        chain.append(before[-1])
        before.append(
            before[min(change.records, place)] if isinstance(change, RolledBack) else place
        )
    kept, place = [], before[-1]
    while place >= 0:
        kept.append(changes[place])
        place = chain[place]
    return kept[::-1]


def fold(changes: Sequence[Change]) -> KnowledgeState:
    """Return the state after all changes.

    Raises:
        ValueError: a change is about a claim that is not there, or adds one twice.
    """
    state = KnowledgeState()
    advance(state, counting(changes))
    return state


def advance(state: KnowledgeState, changes: Iterable[Change]) -> None:
    """Apply changes other than rollbacks to a state, in place.

    Raises:
        ValueError: a change is about a claim that is not there, or adds one twice.
    """
    for change in changes:
        if isinstance(change, Added):
            _add(state, change.claim)
        elif isinstance(change, Joined):
            _join(state, change)
        elif isinstance(change, (Moved, Weighed)):
            claim = _known(state, change.digest)
            if isinstance(change, Moved):
                state.claims[change.digest] = claim.with_status(change.status)
            state.decisions.setdefault(change.digest, []).append(change)
        elif isinstance(change, Reduced):
            state.reduced = change
        elif isinstance(change, RolledBack):
            raise ValueError("a rollback is resolved by fold")


def _add(state: KnowledgeState, claim: Claim) -> None:
    if claim.digest in state.claims:
        raise ValueError(f"the claim {claim.digest} is added twice")
    state.claims[claim.digest] = claim


def _join(state: KnowledgeState, change: Joined) -> None:
    if change.whole.digest not in change.parts:
        _add(state, change.whole)
    for part in change.parts:
        _known(state, part)
        if part in state.wholes:
            raise ValueError(f"the claim {part} is merged twice")
        if part != change.whole.digest:
            state.wholes[part] = change.whole.digest


def _known(state: KnowledgeState, digest: str) -> Claim:
    if digest not in state.claims:
        raise ValueError(f"there is no claim {digest}")
    return state.claims[digest]
