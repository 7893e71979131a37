"""Decision about an update: gain shown, old knowledge kept, on paired examples.

Legend: n examples.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agentos.learning.gate.exact_tests import DropPValues, drop_p_values, gain_p_value
from protocols.errors import ConfigurationError
from protocols.spec import Spec

Outcome = Literal["accept", "refuse", "more"]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Evidence:
    """Answers of the accepted model and of the candidate to the same examples.

    Attributes:
        before: `[n]` bool, whether the accepted model is right.
        after: `[n]` bool, whether the candidate is right.
        labels: `[n]` int64, the true label of each.
        episodes: `[n]` int64, the episode that each belongs to, from 0.
        names: names of the labels, by which reasons call them; their numbers if empty.
    """

    before: Flags
    after: Flags
    labels: NDArray[np.int64]
    episodes: NDArray[np.int64]
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse arrays of different lengths."""
        lengths = {len(self.before), len(self.after), len(self.labels), len(self.episodes)}
        if len(lengths) > 1:
            raise ConfigurationError(
                "the evidence about an update is not about the same examples",
                expected="one number of answers, labels and episodes",
                actual=sorted(lengths),
                hint="ask both models about every example",
            )

    def __len__(self) -> int:
        return len(self.before)

    def counts(self, among: Flags | None = None) -> tuple[int, int, int]:
        """Return how many of some examples are gained and lost, and their number."""
        chosen = np.ones(len(self), bool) if among is None else among
        gained = int((self.after & ~self.before & chosen).sum())
        lost = int((self.before & ~self.after & chosen).sum())
        return gained, lost, int(chosen.sum())


@dataclass(frozen=True)
class Verdict:
    """The decision about an update.

    Attributes:
        outcome: ``accept``, ``refuse``, or ``more``: too few examples to tell.
        reasons: what it rests on, in sentences; for a refusal, what was not met.
        examples: examples that it rests on.
        gain: measured gain in accuracy over all of them.
        p_value: of the gain.
        accuracy: measured accuracy of the model that is in force now. On fresh examples it is an estimate
            without bias, but for the winner's luck of an update that has just been let in.
    """

    outcome: Outcome
    reasons: tuple[str, ...]
    examples: int
    gain: float
    p_value: float
    accuracy: float

    @property
    def accepted(self) -> bool:
        """Return whether the update is let in."""
        return self.outcome == "accept"


class Gate(Spec):
    """Lets an update in if it gains for certain and costs old knowledge little.

    Three conditions, all at level `alpha` divided by the number of looks:

    1. The gain over all examples is positive: exact one-sided McNemar test.
    2. Over all examples of earlier episodes together, the drop is at most `drop`: non-inferiority, by
       an exact test.
    3. For no old label and no earlier episode is a drop of more than `drop` shown, by an exact lower bound.
       With ``each: shown``, each must show the opposite, as in 2, which takes thousands of examples of each.

    So an update without a true gain, or one that costs old knowledge more than `drop`, is let in with a
    probability of at most `alpha`.

    Example:
        >>> Gate(drop=0.02).examples
        'fresh'
    """

    drop: float = Field(
        0.01, gt=0.0, lt=1.0, description="Drop in accuracy that old knowledge may suffer."
    )
    per: tuple[Literal["label", "episode"], ...] = Field(
        ("label", "episode"), description="Groups of old examples that are tested one by one."
    )
    each: Literal["not_refuted", "shown"] = Field(
        "not_refuted",
        description="Proof that each group needs. not_refuted: no larger drop than `drop` is shown. shown: "
        "a smaller one is.",
    )
    alpha: float = Field(
        0.05, gt=0.0, lt=0.5, description="Probability at most to let a harmful update in."
    )
    examples: Literal["fresh", "reused"] = Field(
        "fresh",
        description="Examples to decide on. fresh: no earlier decision has used them. reused: the same every "
        "time, which fools the gate in the long run; a control of a study.",
    )
    batch: int = Field(256, ge=1, description="Examples that each look at an update adds, at most.")
    looks: int = Field(4, ge=1, le=100, description="Looks at one update, at most.")

    def judge(self, evidence: Evidence, episode: int, last: bool) -> Verdict:
        """Decide on an update that was learnt in an episode.

        Args:
            evidence: answers of both models.
            episode: the number of the episode; examples of earlier ones are old.
            last: whether no more examples can be had, so that ``more`` becomes a refusal.
        """
        level = self.alpha / self.looks
        gained, lost, total = evidence.counts()
        p_value = gain_p_value(gained, lost)
        old = evidence.episodes < episode
        wrong, open_ = self._about_old(evidence, old, level)
        if p_value > level:
            open_.append(f"no gain is shown: +{gained} -{lost} of {total}, p = {p_value:.3g}")
        outcome: Outcome = "refuse" if wrong or (open_ and last) else "more" if open_ else "accept"
        shown = (f"the gain is shown: +{gained} -{lost} of {total}, p = {p_value:.3g}",)
        return Verdict(
            outcome,
            (*wrong, *open_) or shown,
            total,
            (gained - lost) / total if total else 0.0,
            p_value,
            float((evidence.after if outcome == "accept" else evidence.before).mean())
            if total
            else 0.0,
        )

    def _about_old(
        self, evidence: Evidence, old: Flags, level: float
    ) -> tuple[list[str], list[str]]:
        """Return what speaks against the update, and what is not yet shown, about old examples."""
        gained, lost, total = evidence.counts(old)
        if not total:
            return [], ["there is no example of an earlier episode: no baseline, no blessing"]
        wrong, open_ = [], []
        p_values = self._drop(gained, lost, total, level)
        if p_values.larger <= level:
            wrong.append(f"old examples lose: +{gained} -{lost} of {total}")
        elif p_values.smaller > level:
            open_.append(
                f"a drop of old examples by at most {self.drop} is not shown: +{gained} -{lost} of {total}"
            )
        for name, members in self._groups(evidence, old):
            gained, lost, total = evidence.counts(members)
            p_values = self._drop(gained, lost, total, level)
            if p_values.larger <= level:
                wrong.append(f"{name} loses: +{gained} -{lost} of {total}")
            elif self.each == "shown" and p_values.smaller > level:
                open_.append(
                    f"{name}: a drop by at most {self.drop} is not shown: +{gained} -{lost} of {total}"
                )
        return wrong, open_

    def _drop(self, gained: int, lost: int, total: int, level: float) -> DropPValues:
        return drop_p_values(gained, lost, total, self.drop, spare=level / 10)

    def _groups(self, evidence: Evidence, old: Flags) -> list[tuple[str, Flags]]:
        keys = {"label": evidence.labels, "episode": evidence.episodes}
        return [
            (_title(kind, int(key), evidence), old & (keys[kind] == key))
            for kind in self.per
            for key in np.unique(keys[kind][old])
        ]


def _title(kind: str, key: int, evidence: Evidence) -> str:
    """Return what a group is called in reasons; people count episodes from 1."""
    if kind == "episode":
        return f"episode {key + 1}"
    return f"label {evidence.names[key] if evidence.names else key}"
