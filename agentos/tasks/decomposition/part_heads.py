"""Heads for the parts of a division: each on the agent that got the part, all joined into one answer.

Legend: N texts, D embedding width, G groups of a part, S parts, A agents.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from agentos.tasks.decomposition.division import Division, Labels, Part, Rows
from agents.answering import Adaptation, Answers, Examples, Head, out_of_fold
from agents.answering.adapt import check_examples
from protocols.errors import ConfigurationError


@dataclass(frozen=True)
class PartHead:
    """The head of one part.

    Attributes:
        agent: who answers the part.
        head: classifier of the agent's embeddings, with what the part reads beside them.
        scale: multiplies the embeddings where the part reads others, so that neither drowns the other.
    """

    agent: int
    head: Head
    scale: float = 1.0


@dataclass(frozen=True)
class FittedDivision:
    """A division whose parts all have a head; it answers texts of any split.

    Attributes:
        division: the parts.
        heads: head of each part, by its name.
        origins: digest of each agent's weights.
    """

    division: Division
    heads: Mapping[str, PartHead]
    origins: tuple[str, ...]

    def answer(self, examples: Sequence[Examples]) -> Answers:
        """Answer texts that every agent of the division has embedded.

        Args:
            examples: the same texts, as each of the A agents embeds them.
        """
        answers: dict[str, Rows] = {}
        in_sample = np.zeros(len(examples[0].ids), bool)
        for part in self.division.order:
            fitted = self.heads[part.name]
            own = _with_read(part, examples[fitted.agent], answers, fitted.scale)
            answered = fitted.head.answer(_some(own, part.rows), self.origins[fitted.agent])
            answers[part.name] = answered.probabilities
            in_sample[slice(None) if part.rows is None else part.rows] |= answered.in_sample
        used = {self.origins[fitted.agent] for fitted in self.heads.values()}
        joined = self.division.join(answers)
        nowhere = np.zeros(len(joined), bool)
        first = examples[0]
        return Answers(first.split, first.ids, joined, nowhere, in_sample, tuple(sorted(used)))

    @property
    def flops(self) -> float:
        """FLOPs of the heads for one text, without those of the embeddings."""
        each = [fitted.head.flops for fitted in self.heads.values()]
        return float(np.mean(each) if self.division.by_texts else np.sum(each))


def fitness(
    division: Division,
    adaptation: Adaptation,
    examples: Sequence[Examples],
    labels: Labels,
    seed: int = 0,
) -> Rows:
    """Return `[S, A]`: out-of-fold accuracy of each agent at each part, alone and before any reads others.

    Args:
        division: S parts.
        adaptation: how heads are fitted.
        examples: texts of the split ``fit``, as each of A agents embeds them.
        labels: of these texts.
        seed: draws the folds.

    Raises:
        ConfigurationError: a group of a part has fewer than two texts.
    """
    known: dict[tuple[tuple[int, ...], ...], list[float]] = {}
    for part in division.parts:
        if part.groups not in known:  # shards are one task for other texts
            known[part.groups] = [
                _accuracy(part, adaptation, own, labels, seed) for own in examples
            ]
    return np.array([known[part.groups] for part in division.parts])


def capable(
    division: Division, fitness_SA: Rows, names: Sequence[str], slack: float
) -> NDArray[np.float64]:
    """Return the fitness `[S, A]`, and -1 where an agent is not good enough, at any floor.

    Args:
        division: S parts.
        fitness_SA: accuracy of each agent at each part.
        names: of the agents, as parts name them.
        slack: accuracy below the best of the agents that a part may go to.
    """
    found = fitness_SA.copy()
    for row, part in zip(found, division.parts, strict=True):
        named = np.array([part.agents is None or name in part.agents for name in names])
        if named.any():
            row[row < row[named].max() - slack] = -1.0
    return found


def fit_parts(
    division: Division,
    agents: Mapping[str, int],
    adaptation: Adaptation,
    examples: Sequence[Examples],
    labels: Labels,
    origins: Sequence[str],
    seed: int = 0,
) -> FittedDivision:
    """Fit a head for each part on the embeddings of its agent.

    A part that reads others is fitted to their out-of-fold answers, never to in-sample ones.

    Args:
        division: the parts.
        agents: agent of each part, by its name.
        adaptation: how heads are fitted.
        examples: texts of the split ``fit``, as each agent embeds them.
        labels: of these texts.
        origins: digest of each agent's weights.
        seed: draws the folds.

    Raises:
        ConfigurationError: the texts are of another split, or a group has too few.
    """
    if missing := [part.name for part in division.parts if part.name not in agents]:
        raise ConfigurationError(
            "a subtask has no agent",
            expected="an agent for each subtask",
            actual=f"none for {', '.join(missing)}",
            hint="take the agents from a schedule of the same division",
        )
    heads: dict[str, PartHead] = {}
    learnt: dict[str, Rows] = {}
    read = {name for part in division.parts for name in part.reads}
    for part in division.order:
        agent = agents[part.name]
        scale = _scale(examples[agent].embeddings) if part.reads else 1.0
        own = _with_read(part, examples[agent], learnt, scale)
        targets = part.labels(labels)
        members = np.flatnonzero(targets >= 0)
        known = _some(own, members)
        head = adaptation.fit(known, targets[members], len(part.groups), seed)
        heads[part.name] = PartHead(agent, head, scale)
        if part.name in read:
            # Texts of other classes are no examples of the head: it may answer them itself.
            rows = head.answer(own, origins[agent]).probabilities
            held = out_of_fold(
                adaptation, known, targets[members], len(part.groups), origins[agent], seed=seed
            )
            rows[members] = held.probabilities
            learnt[part.name] = rows
    return FittedDivision(division, heads, tuple(origins))


def _accuracy(
    part: Part, adaptation: Adaptation, own: Examples, labels: Labels, seed: int
) -> float:
    targets = part.labels(labels)
    members = np.flatnonzero(targets >= 0)
    known = _some(own, members)
    check_examples(known, targets[members], len(part.groups), least=2)
    held = out_of_fold(adaptation, known, targets[members], len(part.groups), "0" * 16, seed=seed)
    return float(held.right(targets[members]).mean())


def _with_read(part: Part, own: Examples, answers: Mapping[str, Rows], scale: float) -> Examples:
    """Return the examples with the answers that a part reads beside the embeddings."""
    if not part.reads:
        return own
    beside = [answers[name] for name in part.reads]
    return replace(own, embeddings=np.hstack([own.embeddings * scale, *beside]))


def _some(examples: Examples, rows: Labels | None) -> Examples:
    if rows is None:
        return examples
    return replace(examples, ids=examples.ids[rows], embeddings=examples.embeddings[rows])


def _scale(embeddings_ND: NDArray[np.floating]) -> float:
    """Return the factor that makes the mean squared distance from the mean 1."""
    rows = embeddings_ND.astype(np.float64)
    spread = float(np.square(rows - rows.mean(axis=0)).sum(axis=1).mean())
    return 1 / np.sqrt(spread) if spread > 0 else 1.0
