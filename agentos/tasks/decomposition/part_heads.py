"""Heads for the parts of a division: each on the agent that got the part, all joined into one answer.

Legend: N texts, D embedding width, G groups of a part, S parts, A agents.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

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
        head: classifier of the agent's embeddings, joined with the answers that the part reads.
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
        heads: for each part by its name, the head on the agent that got it, then those on spare agents.
        origins: digest of each agent's weights.
        fit_flops: FLOPs of fitting all heads, those fitted out of fold for parts that read others included.
    """

    division: Division
    heads: Mapping[str, tuple[PartHead, ...]]
    origins: tuple[str, ...]
    fit_flops: float = 0.0

    def answer(self, examples: Sequence[Examples]) -> Answers:
        """Answer texts that every agent of the division has embedded.

        Args:
            examples: the same texts, as each of the A agents embeds them.
        """
        answers: dict[str, Rows] = {}
        in_sample = np.zeros(len(examples[0].ids), bool)
        used = set()
        for part in self.division.order:
            agent = self.heads[part.name][0].agent
            answered = self.answer_part(part, agent, _some(examples[agent], part.rows), answers)
            answers[part.name] = answered.probabilities
            in_sample[slice(None) if part.rows is None else part.rows] |= answered.in_sample
            used.add(self.origins[agent])
        joined = self.division.join(answers)
        nowhere = np.zeros(len(joined), bool)
        first = examples[0]
        return Answers(first.split, first.ids, joined, nowhere, in_sample, tuple(sorted(used)))

    def answer_part(
        self, part: Part, agent: int, own: Examples, read: Mapping[str, Rows]
    ) -> Answers:
        """Return an agent's answers to the texts of a part.

        Args:
            part: a part of the division, or of its texts.
            agent: an agent with a head for it.
            own: the part's texts, as the agent embeds them.
            read: answers of other parts, by name.
        """
        fitted = next(each for each in self.of(part) if each.agent == agent)
        return fitted.head.answer(_with_read(part, own, read, fitted.scale), self.origins[agent])

    def of(self, part: Part) -> tuple[PartHead, ...]:
        """Return the heads of a part; shards of texts share those of the part with the same groups."""
        if part.name in self.heads:
            return self.heads[part.name]
        return next(
            self.heads[each.name] for each in self.division.parts if each.groups == part.groups
        )


class PartFitness(NamedTuple):
    """Accuracy of agents at parts, alone and before any part reads others.

    Attributes:
        accuracy: `[S, A]`, out of fold.
        flops: FLOPs of measuring it.
    """

    accuracy: Rows
    flops: float


def fitness(
    division: Division,
    adaptation: Adaptation,
    examples: Sequence[Examples],
    labels: Labels,
    seed: int = 0,
) -> PartFitness:
    """Measure the out-of-fold accuracy of each agent at each part.

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
    flops = 0.0
    for part in division.parts:
        if part.groups not in known:  # shards are one task for other texts
            found = [_accuracy(part, adaptation, own, labels, seed) for own in examples]
            known[part.groups] = [accuracy for accuracy, _ in found]
            flops += sum(spent for _, spent in found)
    return PartFitness(np.array([known[part.groups] for part in division.parts]), flops)


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
    spare: Mapping[str, Sequence[int]] | None = None,
) -> FittedDivision:
    """Fit a head for each part on the embeddings of its agent, and of those that may have to replace it.

    A part that reads others is fitted to their out-of-fold answers, never to in-sample ones.

    Args:
        division: the parts.
        agents: agent of each part, by its name.
        adaptation: how heads are fitted.
        examples: texts of the split ``fit``, as each agent embeds them.
        labels: of these texts.
        origins: digest of each agent's weights.
        seed: draws the folds.
        spare: further agents of each part, by its name.

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
    heads: dict[str, tuple[PartHead, ...]] = {}
    learnt: dict[str, Rows] = {}
    flops = 0.0
    read = {name for part in division.parts for name in part.reads}
    for part in division.order:
        agent, targets = agents[part.name], part.labels(labels)
        members = np.flatnonzero(targets >= 0)
        mine = dict.fromkeys([agent, *(spare or {}).get(part.name, ())])
        made = []
        for each in mine:
            scale = _scale(examples[each].embeddings) if part.reads else 1.0
            known = _some(_with_read(part, examples[each], learnt, scale), members)
            head = adaptation.fit(known, targets[members], len(part.groups), seed)
            made.append(PartHead(each, head, scale))
            flops += head.fit_flops
        heads[part.name] = tuple(made)
        if part.name in read:
            # Texts of other classes are no examples of the head: it may answer them itself.
            own = _with_read(part, examples[agent], learnt, made[0].scale)
            rows = made[0].head.answer(own, origins[agent]).probabilities
            known, groups = _some(own, members), len(part.groups)
            held = out_of_fold(
                adaptation, known, targets[members], groups, origins[agent], seed=seed
            )
            rows[members] = held.answers.probabilities
            flops += held.flops
            learnt[part.name] = rows
    return FittedDivision(division, heads, tuple(origins), flops)


def _accuracy(
    part: Part, adaptation: Adaptation, own: Examples, labels: Labels, seed: int
) -> tuple[float, float]:
    targets = part.labels(labels)
    members = np.flatnonzero(targets >= 0)
    known = _some(own, members)
    check_examples(known, targets[members], len(part.groups), least=2)
    held = out_of_fold(adaptation, known, targets[members], len(part.groups), "0" * 16, seed=seed)
    return float(held.answers.right(targets[members]).mean()), held.flops


def _with_read(part: Part, own: Examples, answers: Mapping[str, Rows], scale: float) -> Examples:
    """Return the examples, their embeddings joined with the answers that a part reads."""
    if not part.reads:
        return own
    read = [answers[name] for name in part.reads]
    return replace(own, embeddings=np.hstack([own.embeddings * scale, *read]))


def _some(examples: Examples, rows: Labels | None) -> Examples:
    if rows is None:
        return examples
    return replace(examples, ids=examples.ids[rows], embeddings=examples.embeddings[rows])


def _scale(embeddings_ND: NDArray[np.floating]) -> float:
    """Return the factor that makes the mean squared distance from the mean 1."""
    rows = embeddings_ND.astype(np.float64)
    spread = float(np.square(rows - rows.mean(axis=0)).sum(axis=1).mean())
    return 1 / np.sqrt(spread) if spread > 0 else 1.0
