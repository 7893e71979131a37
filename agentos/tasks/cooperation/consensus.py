"""Peers send each other their answers until they agree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agentos.tasks.cooperation.base import Architecture, Evidence, about
from agentos.tasks.cooperation.conversation import Conversation
from agentos.tasks.cooperation.panel import Panel
from agents.answering import Answers, FittedFusion, fit_fusion
from agents.answering.answers import Labels
from protocols.errors import HostLost

ASKED = 0
"""The peer whose decision counts: the most accurate, which the user asked."""


@dataclass(frozen=True)
class Peers(Architecture):
    """Consensus: every peer answers, and passes on what it learnt where its sources do not agree.

    Answers travel as their authors gave them, so that a fusion over distinct origins counts none twice. A
    peer passes nothing on where all answers that it holds agree; after as many hops as the network is wide,
    each peer has every answer to what is disputed.

    Attributes:
        fusion: fitted to every agent.
    """

    fusion: FittedFusion

    @classmethod
    def fitted(cls, evidence: Evidence) -> Peers:
        """Fit the fusion to the out-of-fold answers of all agents."""
        return cls(fit_fusion(evidence.fusion, evidence.fit, evidence.fit_labels))

    def asked_first(self, panel: Panel) -> tuple[int, ...]:
        """Return every peer."""
        return tuple(range(len(panel)))

    def converse(self, talk: Conversation) -> Answers:
        """Let answers spread, and fuse what the asked peer holds in the end."""
        ids, network = talk.queries.ids, talk.setting.network
        held: list[dict[int, Answers]] = [{} for _ in range(len(talk.panel))]
        for peer in range(len(talk.panel)):
            own = talk.ask(peer, ids, {})
            if own is not None:
                held[peer][peer] = own
        fresh = [dict(answers) for answers in held]
        for hop in range(network.diameter or 1):
            fresh = self._spread(talk, held, fresh, hop)
            if not any(fresh):
                break
        if not held[ASKED]:
            raise HostLost("the asked peer has no answer", hint="see the fault script")
        talk.think(ASKED, "fusion", ids, self.fusion.flops, list(_waited_for(talk, held)))
        return self.fusion.fuse([_filled(answers, ids) for answers in held[ASKED].values()])

    def _spread(
        self,
        talk: Conversation,
        held: list[dict[int, Answers]],
        fresh: list[dict[int, Answers]],
        hop: int,
    ) -> list[dict[int, Answers]]:
        """Let every peer send what is new to it; return what was new to each receiver."""
        talk.begin_hop()
        network = talk.setting.network
        arrived: list[dict[int, Answers]] = [{} for _ in held]
        for sender, news in enumerate(fresh):
            disputed = talk.queries.ids if hop == 0 else _disputed(talk.queries.ids, held[sender])
            for author, answers in news.items():
                told = np.intersect1d(answers.ids, disputed)
                for receiver in sorted(network.neighbours(sender)) if len(told) else ():
                    known = held[receiver].get(author)
                    new = told if known is None else np.setdiff1d(told, known.ids)
                    if author == receiver or not len(new):
                        continue
                    found, size = talk.send_answers(about(answers, new), sender, receiver, 0.0)
                    source = (
                        f"answer of {author}" if hop == 0 else f"news {hop - 1} {sender} {author}"
                    )
                    talk.step(f"news {hop} {receiver} {author}", receiver, 0.0, {source: size})
                    if found is not None:
                        arrived[receiver][author] = found
        for receiver, news in enumerate(arrived):
            for author, answers in news.items():
                known = held[receiver].get(author)
                held[receiver][author] = answers if known is None else _joined(known, answers)
        return arrived


def _waited_for(talk: Conversation, held: list[dict[int, Answers]]) -> set[str]:
    hops = talk.setting.network.diameter or 1
    news = {f"news {hop} {ASKED} {author}" for hop in range(hops) for author in held[ASKED]}
    return {f"answer of {ASKED}", *news}


def _disputed(ids: Labels, held: dict[int, Answers]) -> Labels:
    """Return the queries on which the held answers differ."""
    said = np.full((len(held), len(ids)), -1)
    for row, answers in enumerate(held.values()):
        places = np.searchsorted(ids, answers.ids)
        said[row, places] = answers.probabilities.argmax(axis=1)
    most = said.max(axis=0)
    differs = ((said != most) & (said >= 0)).any(axis=0)
    disputed: Labels = ids[differs]
    return disputed


def _joined(first: Answers, second: Answers) -> Answers:
    ids = np.concatenate([first.ids, second.ids])
    order = np.argsort(ids, kind="stable")

    def both(name: str) -> np.ndarray:
        joined: np.ndarray = np.concatenate([getattr(first, name), getattr(second, name)])[order]
        return joined

    return Answers(
        first.split,
        ids[order],
        both("probabilities"),
        both("abstains"),
        both("in_sample"),
        first.origins,
    )


def _filled(answers: Answers, ids: Labels) -> Answers:
    """Return answers to all ids: abstentions where there are none."""
    count = len(ids)
    rows = np.searchsorted(ids, answers.ids)
    probabilities = np.full((count, answers.classes), 1 / answers.classes)
    abstains, in_sample = np.ones(count, bool), np.zeros(count, bool)
    probabilities[rows] = answers.probabilities
    abstains[rows], in_sample[rows] = answers.abstains, answers.in_sample
    return Answers(answers.split, ids, probabilities, abstains, in_sample, answers.origins)
