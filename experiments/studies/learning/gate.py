"""Measure the gate against seeded updates: which come in, and what fifty decisions do to its estimate.

    python -m experiments.studies.learning.gate

Models are simulated by their answers: of each example, whether the accepted model and the candidate are
right. So the truth about every update is known: it gains and loses stated shares of old and of new examples.
The baseline is the rule that it replaces: let in what is better on the examples at hand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from scipy.stats import beta

from agentos.learning.gate import Evidence, ExamplePool, Gate, Verdict, review
from agentos.reporting.statistics import Interval, interval
from experiments.studies.exchange_tables import markdown
from experiments.studies.running import command
from protocols.seeding import generator

LABELS, OLD, NEW = 5, 2000, 800
"""Old labels, and examples of earlier episodes and of the new one."""
BOTH_RIGHT = 0.6
EPISODES, ACCURACY, REDRAWN = 50, 0.7, 0.3
"""Decisions in a row; the true accuracy; the share of answers that an update draws anew."""
Shares = tuple[float, float]
"""Shares of examples that are gained and lost."""


@dataclass(frozen=True)
class Update:
    """An update whose truth is known.

    Attributes:
        name: what it does.
        wanted: whether it should come in.
        old, new: shares gained and lost of examples of earlier episodes and of the new one.
        label: the same of the first old label alone, if it differs.
    """

    name: str
    wanted: bool
    old: Shares
    new: Shares
    label: Shares | None = None


UPDATES = (
    Update("−2 points everywhere", False, (0.02, 0.04), (0.02, 0.04)),
    Update("−2 points everywhere, a fifth of the answers changed", False, (0.09, 0.11), (0.09, 0.11)),
    Update("−2 points of the old, +50 of the new", False, (0.02, 0.04), (0.5, 0.0)),
    Update("one old label −30 points, all else gains", False, (0.12, 0.0), (0.5, 0.0), (0.0, 0.3)),
    Update("no change for the better", False, (0.03, 0.03), (0.03, 0.03)),
    Update("+2 points everywhere", True, (0.04, 0.02), (0.04, 0.02)),
    Update("+2 points everywhere, a tenth of the answers changed", True, (0.06, 0.04), (0.06, 0.04)),
    Update("old as before, +30 points of the new", True, (0.01, 0.01), (0.3, 0.0)),
)  # fmt: skip
Rule = Callable[[int, Update], bool]
"""Function from a seed and an update to whether the update comes in."""


def simulated(seed: int, update: Update) -> Evidence:
    """Return the answers of both models to all examples, under the update's truth."""
    rng = generator(seed, "study", "gate", update.name)
    labels = np.arange(OLD + NEW) % LABELS
    labels[OLD:] += LABELS
    shares = np.repeat(np.array([update.old, update.new]), (OLD, NEW), axis=0)
    if update.label is not None:
        shares[labels == 0] = update.label
    before, after = _answers(rng, shares)
    return Evidence(before, after, labels, np.repeat([0, 1], (OLD, NEW)))


def _answers(rng: np.random.Generator, shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return whether each model is right `[n]`, given the shares gained and lost `[n, 2]`."""
    drawn = rng.random(len(shares))
    gained = drawn < shares[:, 0]
    changed = drawn < shares.sum(axis=1)
    both = ~changed & (drawn < shares.sum(axis=1) + BOTH_RIGHT)
    return both | (changed & ~gained), both | gained


def by_gate(gate: Gate) -> Rule:
    """Return the rule of a gate."""

    def decide(seed: int, update: Update) -> bool:
        whole = simulated(seed, update)
        pool = ExamplePool(seed)
        pool.add(0, np.arange(OLD))
        pool.add(1, np.arange(OLD, OLD + NEW))
        return review(gate, pool, partial(_part, whole), 1).accepted

    return decide


def if_better(seed: int, update: Update) -> bool:
    """Let in what has more right answers."""
    gained, lost, _ = simulated(seed, update).counts()
    return gained > lost


def _part(whole: Evidence, ids: np.ndarray) -> Evidence:
    names = ("before", "after", "labels", "episodes")
    return Evidence(*(getattr(whole, name)[ids] for name in names))


RULES: dict[str, Rule] = {
    "gate, 4 × 700 examples": by_gate(Gate(batch=700, looks=4)),
    "gate, 4 × 256 examples": by_gate(Gate()),
    "each group shown, 4 × 700": by_gate(Gate(batch=700, looks=4, each="shown")),
    "accept if better, 2,800": if_better,
}


def let_in(rule: Rule, update: Update, repeats: int) -> tuple[float, float, float]:
    """Return the share of repetitions in which an update comes in, and its 95 % Clopper-Pearson ends."""
    count = sum(rule(seed, update) for seed in range(repeats))
    low = float(beta.ppf(0.025, count, repeats - count + 1)) if count else 0.0
    high = float(beta.ppf(0.975, count + 1, repeats - count)) if count < repeats else 1.0
    return count / repeats, low, high


@dataclass(frozen=True)
class Habit:
    """A way to decide fifty times in a row.

    Attributes:
        gate: the gate; None accepts if better.
        fresh: whether each decision has examples of its own.
        size: examples of a decision.
    """

    gate: Gate | None
    fresh: bool
    size: int


HABITS = {
    "gate, fresh examples": Habit(Gate(looks=1, batch=1000, drop=0.02), True, 1000),
    "gate, the same examples": Habit(
        Gate(looks=1, batch=1000, drop=0.02, examples="reused"), False, 1000
    ),
    "accept if better, the same examples": Habit(None, False, 1000),
}


def inflation(habit: Habit, seed: int) -> float:
    """Return the estimate of the accuracy less the truth, after updates that only draw answers anew."""
    rng = generator(seed, "study", "gate inflation")
    pool = ExamplePool(seed, fresh=habit.fresh)
    pool.add(0, np.arange(habit.size * (EPISODES if habit.fresh else 1)))
    model = rng.random(len(pool.episodes[0])) < ACCURACY
    measured = ACCURACY
    for episode in range(1, EPISODES + 1):
        anew = rng.random(len(model)) < REDRAWN
        candidate = np.where(anew, rng.random(len(model)) < ACCURACY, model)
        if habit.gate is None:
            model = candidate if candidate.mean() > model.mean() else model
            measured = float(model.mean())
            continue
        zeros = np.zeros(len(model), np.int64)
        verdict: Verdict = review(
            habit.gate, pool, partial(_part, Evidence(model, candidate, zeros, zeros)), episode
        )
        model = candidate if verdict.accepted else model
        measured = verdict.accuracy
    return measured - ACCURACY


def page(repeats: int, origin: str, updates: Sequence[Update] = UPDATES) -> str:
    """Return the page of the study in Markdown."""
    rows = [
        [
            update.name,
            "in" if update.wanted else "out",
            *(_share(let_in(rule, update, repeats)) for rule in RULES.values()),
        ]
        for update in updates
    ]
    inflated = [
        [name, _points(interval([100 * inflation(habit, seed) for seed in range(repeats)]))]
        for name, habit in HABITS.items()
    ]
    about = (
        f"Share of {repeats} seeded updates that are let in, with its 95 % Clopper-Pearson interval. Models "
        "are simulated by their answers, so that the truth of every update is known: "
        f"{OLD:,} examples of earlier episodes with {LABELS} labels and {NEW} of the new one; the "
        "gate takes as many as it asks for. The aim: at most 5 % of what loses 2 points, at least 80 % of "
        "what gains 2."
    )
    fifty = (
        f"The estimated accuracy less the true one, in points, after {EPISODES} updates that draw "
        f"{REDRAWN:.0%} of the answers anew and gain nothing; 1,000 examples a decision; mean of {repeats} "
        "repetitions ± half-width of its 95 % interval. The aim: at most 0.5."
    )
    parts = (
        *("# The gate of updates", f"`{origin}`", about),
        markdown(("update", "wanted", *RULES), rows),
        *("## Fifty decisions", fifty, markdown(("decided by", "inflation"), inflated)),
    )
    return "\n\n".join(parts) + "\n"


def _share(found: tuple[float, float, float]) -> str:
    share, low, high = found
    return f"{share:.1%} ({low:.1%} to {high:.1%})"


def _points(found: Interval) -> str:
    return f"{found.mean:+.2f} ± {found.half_width:.2f}"


def main(
    repeats: Annotated[int, typer.Option(help="Seeded updates of each kind.")] = 400,
    results: Annotated[Path, typer.Option(help="Folder of the page.")] = Path(
        "experiments/results"
    ),
) -> None:
    """Let gates decide on seeded updates; write a page."""
    text = page(repeats, command("learning.gate"))
    (results / "gate.md").write_text(text, encoding="utf-8")
    typer.echo(text)


if __name__ == "__main__":
    typer.run(main)
