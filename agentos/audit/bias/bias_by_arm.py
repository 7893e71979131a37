"""Encoders of a run before training and of agents alone, to compare those of the society with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from scipy.stats import permutation_test

from agentos.audit.bias.association import Association, WordLists, association
from agentos.audit.bias.group_gaps import Gap, document_scores, gaps, groups_of
from agentos.audit.run_agents import agents_of
from agentos.data.corpus import Corpus
from agentos.data.sources import Source
from agentos.evaluation.loaded_encoder import LoadedEncoder
from agents.exchange.isolated import Isolated
from agents.training.blueprint import Blueprint
from protocols.seeding import generator

BEFORE, ALONE, TOGETHER = ARMS = ("before", "alone", "together")
Encoders = Mapping[int, LoadedEncoder]
Associations = Mapping[str, Mapping[int, Sequence[Association]]]
"""Tests by arm, by agent."""


@dataclass(frozen=True)
class Bias:
    """Bias of the encoders of a run, by arm: before training, alone (where the run saved them), together.

    Attributes:
        associations: by arm, by agent.
        gaps: by arm, of metrics averaged over agents; empty without groups.
    """

    associations: Associations = field(default_factory=dict)
    gaps: Mapping[str, Sequence[Gap]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        by_arm = {
            arm: {agent: [asdict(each) for each in rows] for agent, rows in found.items()}
            for arm, found in self.associations.items()
        }
        return {
            "associations": by_arm,
            "changes": [asdict(each) for each in changes(self.associations)],
            "groups": {arm: [asdict(each) for each in rows] for arm, rows in self.gaps.items()},
        }


@dataclass(frozen=True)
class Change:
    """Change of the size of an association by cooperation.

    Attributes:
        name: of the word lists.
        change: mean over agents of ``|d|`` together less ``|d|`` alone: above 0, cooperation spread it.
        p: two-sided p of a sign-flip test over the agents.
    """

    name: str
    change: float
    p: float


def untrained(blueprint: Blueprint) -> dict[int, LoadedEncoder]:
    """Return the encoders with which agents begin; one of each kind where all begin alike."""
    groups = [member.group for member in blueprint.members]
    own = blueprint.individual_initialisation
    agents = range(len(groups)) if own else [groups.index(each) for each in sorted({*groups})]
    with TemporaryDirectory() as folder, agents_of(blueprint, Isolated()) as host:
        host.save({each: Path(folder) / f"agent-{each}" for each in agents})
        return {each: LoadedEncoder.load(f"{folder}/agent-{each}") for each in agents}


def audit_bias(
    arms: Mapping[str, Encoders],
    tests: Mapping[str, WordLists],
    seed: int,
) -> dict[str, dict[int, list[Association]]]:
    """Test every encoder of every arm for the associations of some word lists."""
    return {
        arm: {
            agent: [association(encoder.embed, name, lists, seed) for name, lists in tests.items()]
            for agent, encoder in encoders.items()
        }
        for arm, encoders in arms.items()
    }


def audit_groups(
    arms: Mapping[str, Encoders],
    source: Source,
    corpus: Corpus,
    column: str,
    documents: int,
    seed: int,
) -> dict[str, list[Gap]]:
    """Compare metrics of held-out text between groups, in every arm; see `group_gaps`.

    Args:
        arms: encoders by arm.
        source: where the text comes from.
        corpus: the text.
        column: names the groups.
        documents: held-out documents, at most.
        seed: draws them.
    """
    drawn = generator(seed, "evaluation").permutation(len(corpus.heldout))
    rows = np.sort(drawn[:documents])
    groups = np.array(groups_of(source, corpus, column), dtype=object)[rows].tolist()
    texts, labels = corpus.texts(corpus.heldout[rows]), corpus.labels(corpus.heldout[rows])
    found = {}
    for arm, encoders in arms.items():
        each = [document_scores(encoder, texts, labels) for encoder in encoders.values()]
        means = {name: np.mean([scores[name] for scores in each], axis=0) for name in each[0]}
        found[arm] = gaps(means, groups, seed)
    return found


def changes(associations: Associations) -> list[Change]:
    """Compare the sizes of associations together and alone, agent by agent; empty without either."""
    if ALONE not in associations or TOGETHER not in associations:
        return []
    alone, together = associations[ALONE], associations[TOGETHER]
    agents = sorted({*alone} & {*together})
    found = []
    for place, first in enumerate(together[agents[0]]):
        differences = np.array(
            [abs(together[each][place].effect) - abs(alone[each][place].effect) for each in agents]
        )
        p = 1.0
        if len(agents) > 1 and differences.any():
            draws = generator(0, "cooperation and bias")
            tested = permutation_test(
                (differences,), np.mean, permutation_type="samples", rng=draws
            )
            p = float(tested.pvalue)
        found.append(Change(first.name, float(differences.mean()), p))
    return found


def verdict(associations: Associations) -> str:
    """Say in one sentence whether cooperation spread associations, or diluted them."""
    found = changes(associations)
    if not found:
        return (
            "Whether cooperation spreads associations cannot be said: there are no encoders of agents alone "
            "(baseline.isolated: true saves them)."
        )
    grown = sum(each.change > 0 for each in found)
    clear = [each for each in found if each.p < 0.05]
    spread = sum(each.change > 0 for each in clear)
    mean = float(np.mean([each.change for each in found]))
    return (
        f"Against agents alone, the size of an association changed by {mean:+.3f} on average: it grew in "
        f"{grown} of {len(found)} tests; beyond chance over the agents (p < 0.05) it grew in {spread} and "
        f"shrank in {len(clear) - spread}."
    )
