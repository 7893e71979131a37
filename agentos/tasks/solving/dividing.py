"""A society's task divided: parts get heads, and the division is kept where it pays on ``calibrate``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from agentos.tasks.cooperation import Divided
from agentos.tasks.decomposition import Division, Outcome, keeps
from agentos.tasks.decomposition.part_heads import fit_parts
from agentos.tasks.planning.part_work import Worker
from agentos.tasks.planning.plan_of_task import Candidate, Planner
from agentos.tasks.planning.work_plan import schedule_work
from agentos.tasks.society.fitted_society import DIVIDED, FittedSociety
from agentos.tasks.solving.workbench import Workbench
from agents.answering import Examples


def divide(
    work: Workbench, society: FittedSociety, order: Sequence[int]
) -> tuple[FittedSociety, str]:
    """Add the divided task to the ways of a society to answer; let it answer so if that pays.

    Args:
        work: the workbench.
        society: fitted, with the way chosen in which it answers the undivided task.
        order: model of each of its agents.

    Returns:
        The society, and one sentence: is the division kept, and why?

    Raises:
        ConfigurationError: a group of classes has too few texts, or a part is left without an agent.
    """
    architecture, spent = _fitted(work, society, order)
    divided = society.having(DIVIDED, architecture)
    queries, embed = work.bench.queries("calibrate"), work.embed(order)
    outcomes = []
    for name in (DIVIDED, society.chosen):
        found = divided.answer(queries, embed, name)
        outcomes.append(Outcome(found.answers, found.simulated_s))
    labels = work.bench.codes[queries.ids]
    kept, why = keeps(work.config.decompose, outcomes[0], outcomes[1], labels)
    flops = f"Fitting its heads took {spent:.3g} FLOPs."
    return divided.choosing(DIVIDED) if kept else divided, f"{why} {flops}"


def _fitted(work: Workbench, society: FittedSociety, order: Sequence[int]) -> tuple[Divided, float]:
    """Return the divided way to answer, and the FLOPs of fitting it."""
    config, bench = work.config, work.bench
    planner = Planner(
        *(config.select, config.adapt, config.decompose, config.schedule, config.seed, config.name)
    )
    timing = society.setting(DIVIDED, faulty=False).timing
    agents = [_candidate(work, model) for model in order]
    labels = bench.codes[bench.rows("fit")]
    division = _of_classes(planner.divided(agents, bench.classes, timing))
    measured = planner.fitness(division, agents, labels)
    workers = [agent.worker for agent in agents]
    planned = schedule_work(
        division, workers, timing, planner.rules(division, measured.accuracy, workers)
    )
    spare = planned.workload.spare
    assert spare is not None  # the rules of a planner name all who may do a part
    places = {name: place for place, name in enumerate(planned.workload.names)}
    fitted = fit_parts(
        division,
        {part.name: planned.schedule.agents[places[part.name]] for part in division.parts},
        config.adapt,
        [agent.examples for agent in agents],
        labels,
        [member.card.origin for member in society.members],
        config.seed,
        {part.name: np.flatnonzero(spare[places[part.name]]).tolist() for part in division.parts},
    )
    divided = Divided(fitted, measured.accuracy, config.decompose, config.schedule)
    return divided, measured.flops + fitted.fit_flops


def _candidate(work: Workbench, model: int) -> Candidate:
    fit = work.bench.rows("fit")
    read = work.features(model, fit).features
    asked = work.features(model, work.bench.rows("calibrate"))
    card, length = work.encoders.cards[model], work.config.task.max_length
    worker = Worker(card, asked.tokens, length, int(read.shape[1]), len(fit))
    return Candidate(worker, Examples("fit", fit, read))


def _of_classes(division: Division) -> Division:
    """Return a division that does not depend on the texts: shards of them are one part."""
    if not division.by_texts:
        return division
    return Division(division.classes, (replace(division.parts[0], name="all", rows=None),))
