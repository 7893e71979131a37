"""Audit the encoders of a run: attacks on the private text of each agent, and associations of words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from agentos.audit.bias.association import Association, WordLists, association
from agentos.audit.privacy.inversion import Inversion, inversion
from agentos.audit.privacy.membership import Attack, membership
from agentos.data.corpus import Corpus, IntArray
from agentos.evaluation.loaded_encoder import LoadedEncoder
from protocols.errors import DataError
from protocols.seeding import generator

LEAST_TEXTS = 20
"""Fewest members, and others, that an attack is measured on."""


@dataclass(frozen=True)
class AgentPrivacy:
    """Attacks on one agent.

    Attributes:
        agent: its number.
        attacker: number of the agent that attacks it, the next one.
        members: private texts attacked; as many others.
        membership: by what the attacker has.
        inversion: of embeddings of private texts.
    """

    agent: int
    attacker: int
    members: int
    membership: tuple[Attack, ...]
    inversion: Inversion

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        found = self.inversion
        return {
            "agent": self.agent,
            "attacker": self.attacker,
            "members": self.members,
            "membership": [asdict(each) for each in self.membership],
            "inversion": {"f1": found.f1, "floor": found.floor, "named": found.named},
        }


def audit_privacy(
    encoders: Mapping[int, LoadedEncoder],
    corpus: Corpus,
    documents: int,
    seed: int,
    progress: Callable[[str], None] = lambda _: None,
) -> list[AgentPrivacy]:
    """Attack the private text of each agent with the next agent's encoder.

    Args:
        encoders: by agent; at least two.
        corpus: the text that they were trained on.
        documents: private texts attacked, at most; as many held-out ones of the same labels are added.
        seed: draws the texts.
        progress: called with a message at each agent.

    Raises:
        DataError: there are fewer than two encoders, no anchors, or too few texts.
    """
    agents = sorted(encoders)
    if len(agents) < 2 or len(corpus.anchors) < LEAST_TEXTS:
        raise DataError(
            "there are no two agents, or there is nothing public to learn an attack from",
            expected=f"two encoders or more, and at least {LEAST_TEXTS} anchors",
            actual=f"{len(agents)} encoders, {len(corpus.anchors)} anchors",
            hint="audit a run with saved_encoders and data.anchors",
        )
    anchors, found = corpus.texts(corpus.anchors), []
    for place, agent in enumerate(agents):
        progress(f"Attacking agent {agent}")
        attacker = agents[(place + 1) % len(agents)]
        members, others = alike(corpus, agent, documents, seed)
        victim = encoders[agent].embed
        attacks = membership(victim, encoders[attacker].embed, members, others, anchors, seed)
        inverted = inversion(victim, anchors, members)
        found.append(AgentPrivacy(agent, attacker, len(members), tuple(attacks), inverted))
    return found


def alike(corpus: Corpus, agent: int, documents: int, seed: int) -> tuple[list[str], list[str]]:
    """Draw private texts of an agent, and as many held-out ones of each label.

    Otherwise an attack would tell labels apart and seem to tell members. Texts that several agents read are
    left out.

    Raises:
        DataError: there are fewer than `LEAST_TEXTS` of either.
    """
    read_elsewhere = [shard for other, shard in enumerate(corpus.shards) if other != agent]
    own = np.setdiff1d(corpus.shards[agent], np.concatenate([*read_elsewhere, corpus.anchors]))
    pairs = [
        (mine[: min(len(mine), len(theirs))], theirs[: min(len(mine), len(theirs))])
        for mine, theirs in _by_label(corpus, own, seed)
    ]
    members, others = (np.concatenate(rows) for rows in zip(*pairs, strict=True))
    drawn = generator(seed, "audited texts", agent).permutation(len(members))[:documents]
    if len(drawn) < LEAST_TEXTS:
        raise DataError(
            f"agent {agent} has too few private texts with held-out ones of the same labels",
            expected=f"at least {LEAST_TEXTS}",
            actual=len(drawn),
            hint="raise data.heldout",
        )
    return corpus.texts(members[drawn]), corpus.texts(others[drawn])


def _by_label(corpus: Corpus, own: IntArray, seed: int) -> list[tuple[IntArray, IntArray]]:
    """Return private and held-out rows of each label, in a random order."""
    draws = generator(seed, "texts alike")
    own, heldout = draws.permutation(own), draws.permutation(corpus.heldout)
    own_labels, heldout_labels = np.array(corpus.labels(own)), np.array(corpus.labels(heldout))
    names = sorted({str(label) for label in own_labels})
    return [
        (own[own_labels.astype(str) == name], heldout[heldout_labels.astype(str) == name])
        for name in names
    ]


def audit_bias(
    encoders: Mapping[int, LoadedEncoder], tests: Mapping[str, WordLists], seed: int
) -> dict[int, list[Association]]:
    """Test every encoder for the associations of some word lists."""
    return {
        agent: [association(encoder.embed, name, lists, seed) for name, lists in tests.items()]
        for agent, encoder in encoders.items()
    }


def verdict(found: Sequence[AgentPrivacy]) -> str:
    """Say in one sentence what the attacks achieved."""
    leaks = []
    for index, view in enumerate(("parameters", "anchors")):
        attacks = [each.membership[index] for each in found]
        floors = [each.membership[2].auc for each in found]
        clear = sum(
            attack.low > max(0.5, floor) for attack, floor in zip(attacks, floors, strict=True)
        )
        mean = float(np.mean([attack.auc for attack in attacks]))
        leaks.append(
            f"from {view} AUC {mean:.3f}, above chance and floor for {clear} of {len(found)}"
        )
    gain = float(np.mean([each.inversion.f1 - each.inversion.floor for each in found]))
    return (
        f"Membership {'; '.join(leaks)} agents. An embedding of a private text gives away "
        f"{gain:+.3f} F1 of its words over naming frequent ones."
    )
