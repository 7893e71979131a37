"""Audit the encoders of a run: attacks on the private text of each agent, and associations of words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentos.audit.bias.bias_by_arm import Bias
from agentos.audit.poison.backdoor import Backdoor, backdoor
from agentos.audit.privacy.attacked_texts import LEAST_TEXTS, alike
from agentos.audit.privacy.inversion import Inversion, inversion
from agentos.audit.privacy.membership import Attack, Received, Shadow, membership
from agentos.data.corpus import Corpus
from agentos.data.private_labels import Poison
from agentos.evaluation import HeldOut
from agentos.evaluation.base import unit_rows
from agentos.evaluation.loaded_encoder import LoadedEncoder
from agents.exchange.privacy.protection import Privacy, protect
from protocols.errors import ConfigurationError, DataError
from protocols.messages import Embeddings
from protocols.seeding import generator

_SAID = {
    "parameters": "parameters",
    "anchors": "embeddings of anchors",
    "messages": "what its messages hold",
    "shadows": "parameters with shadows",
}


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

    def view(self, name: str) -> Attack | None:
        """Return the attack from a view: parameters, anchors, text alone, messages or shadows."""
        return next((each for each in self.membership if each.view == name), None)

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


@dataclass(frozen=True)
class Audit:
    """The audits of a run that were made; empty where one was not.

    Attributes:
        privacy: by agent attacked.
        bias: associations of words, and gaps between groups, by arm.
        poison: by agent.
    """

    privacy: Sequence[AgentPrivacy] = ()
    bias: Bias | None = None
    poison: Mapping[int, Backdoor] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return plain values of those that were made."""
        found: dict[str, Any] = {}
        if self.privacy:
            found["privacy"] = [each.as_json() for each in self.privacy]
            found["verdict"] = verdict(self.privacy)
        if self.bias is not None:
            found["bias"] = self.bias.as_json()
        if self.poison:
            found["poison"] = {agent: asdict(each) for agent, each in self.poison.items()}
        return found


def audit_privacy(
    encoders: Mapping[int, LoadedEncoder],
    corpus: Corpus,
    documents: int,
    seed: int,
    progress: Callable[[str], None] = lambda _: None,
    protection: Privacy | None = None,
    shadows: Sequence[Shadow] = (),
    received: Mapping[int, Received] | None = None,
) -> list[AgentPrivacy]:
    """Attack the private text of each agent with the next agent's encoder.

    Args:
        encoders: by agent; at least two.
        corpus: the text that they were trained on.
        documents: private texts attacked, at most; as many held-out ones of the same labels are added.
        seed: draws the texts.
        progress: called with a message at each agent.
        protection: clipping and noise of messages, which the embeddings that the attacker has then passed.
        shadows: agents of other societies that the attacker has trained; see `shadows_of`.
        received: by agent, what its neighbours receive; see `agentos.audit.privacy.received`.

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
        sent = partial(_sent, protection=protection, draws=generator(seed, "audited noise", agent))
        attacks = membership(
            victim,
            encoders[attacker].embed,
            members,
            others,
            anchors,
            seed,
            sent,
            shadows,
            (received or {}).get(agent),
            encoders[attacker].plain.embed,
        )
        inverted = inversion(partial(_embedded, victim, sent), anchors, members)
        found.append(AgentPrivacy(agent, attacker, len(members), tuple(attacks), inverted))
    return found


def shadows_of(encoders: Mapping[int, LoadedEncoder], corpus: Corpus) -> list[Shadow]:
    """Return the agents of a society as shadows, with the texts that each has read."""
    public = corpus.texts(corpus.anchors)
    return [
        Shadow(encoder.embed, frozenset([*corpus.texts(corpus.shards[agent]), *public]))
        for agent, encoder in sorted(encoders.items())
    ]


def _sent(
    rows: NDArray[np.float32], protection: Privacy | None, draws: np.random.Generator
) -> NDArray[np.float32]:
    """Return embeddings `[N, D]` as they are sent: normalised and, where messages are protected, noised."""
    if protection is None:
        return rows
    message = Embeddings(values=unit_rows(rows)[None].astype(np.float32))
    protected = protect(message, protection, {}, draws)
    assert isinstance(protected, Embeddings)
    values: NDArray[np.float32] = protected.values[0]
    return values


def _embedded(
    embed: Callable[[Sequence[str]], NDArray[np.float32]],
    sent: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    texts: Sequence[str],
) -> NDArray[np.float32]:
    return sent(embed(texts))


def audit_poison(
    encoders: Mapping[int, LoadedEncoder], poison: Poison | None, heldout: HeldOut
) -> dict[int, Backdoor]:
    """Measure at every agent what the poisoned ones were taught.

    Args:
        encoders: by agent.
        poison: the section `data.private_labels.poison` of the run.
        heldout: clean texts that no agent has read, with their labels.

    Raises:
        ConfigurationError: the run has no poisoned agent, or an encoder no classifier.
    """
    if poison is None:
        raise ConfigurationError(
            "no agent of this run was poisoned",
            expected="data.private_labels.poison, with agents and a label",
            hint="poison one, such as data.private_labels.poison='{agents: [0], label: ..., trigger: ...}'",
        )
    found = {}
    for agent, encoder in encoders.items():
        measured = backdoor(
            encoder.label_scores, heldout.texts, heldout.labels or (), poison.label, poison.trigger
        )
        if measured is None:
            raise ConfigurationError(
                f"agent {agent} has no classifier that poisoned labels could have taught",
                expected="encoders of a run with the objective labelled",
            )
        found[agent] = measured
    return found


def verdict(found: Sequence[AgentPrivacy]) -> str:
    """Say in one sentence what the attacks achieved."""
    leaks = []
    for view, said in _SAID.items():
        attacks = [attack for each in found if (attack := each.view(view)) is not None]
        if not attacks:
            continue
        floors = [floor.auc for each in found if (floor := each.view("text alone")) is not None]
        clear = sum(
            attack.low > max(0.5, floor) for attack, floor in zip(attacks, floors, strict=False)
        )
        mean = float(np.mean([attack.auc for attack in attacks]))
        leaks.append(
            f"from {said} AUC {mean:.2f}, above chance and floor for {clear} of {len(attacks)}"
        )
    gain = float(np.mean([each.inversion.f1 - each.inversion.floor for each in found]))
    return (
        f"Membership {'; '.join(leaks)} agents. An embedding of a private text gives away "
        f"{gain:+.3f} F1 of its words over naming frequent ones."
    )
