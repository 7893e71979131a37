"""A society distilled into its cheapest agent, which is used where that pays on ``calibrate``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agentos.tasks.cooperation import Distilled, Queries
from agentos.tasks.society.fitted_society import DISTILLED, SINGLE, FittedSociety, better
from agentos.tasks.solving.workbench import Workbench
from agents.answering import Examples
from agents.answering.distil import Distil
from protocols.errors import ConfigurationError


def distil(
    work: Workbench, society: FittedSociety, order: Sequence[int], adapt: Distil
) -> tuple[FittedSociety, str]:
    """Add an agent that learns from the society to the ways to answer; choose it if that pays.

    Args:
        work: the workbench.
        society: fitted, of several agents, with a way to answer chosen.
        order: model of each of its agents.
        adapt: how the agent learns.

    Returns:
        The society, and one sentence: is the agent used, and after how many texts does it pay?

    Raises:
        ConfigurationError: there are no texts without labels.
    """
    bench, embed = work.bench, work.embed(order)
    if not len(bench.spare):
        raise ConfigurationError(
            "a society is distilled on texts without labels, and there are none",
            expected="texts of the split `fit` beyond task.shots",
            actual="none",
            hint="set task.shots below the number of texts of a class, or adapt.kind to linear",
        )
    teacher = "master_slave" if society.chosen == SINGLE else society.chosen
    taught = society.answer(Queries("query", bench.spare), embed, teacher)
    length = work.config.task.max_length
    student = int(np.argmin([member.card.flops(length) for member in society.members]))
    fit, model = bench.rows("fit"), order[student]
    head = adapt.distilled(
        Examples("fit", fit, work.features(model, fit).features),
        bench.codes[fit],
        Examples("query", bench.spare, work.features(model, bench.spare).features),
        taught.answers,
    )
    asked = taught.said[:, student] >= 0
    own = work.features(model, bench.spare).tokens[~asked]
    spent = taught.flops.sum() + head.fit_flops + society.panel(embed).flops(student, own).sum()
    extended = society.having(DISTILLED, Distilled(head, student))
    return _chosen(work, extended, order, teacher, float(spent))


def _chosen(
    work: Workbench, society: FittedSociety, order: Sequence[int], teacher: str, spent: float
) -> tuple[FittedSociety, str]:
    queries, right, flops = work.bench.queries("calibrate"), {}, {}
    for name in dict.fromkeys((society.chosen, teacher, DISTILLED)):
        outcome = society.answer(queries, work.embed(order), name)
        right[name] = outcome.answers.right(work.bench.codes[queries.ids])
        flops[name] = float(outcome.flops.mean())
    candidates = {name: right[name] for name in (DISTILLED, society.chosen)}
    used = better(candidates, flops, one_is_enough=False) == DISTILLED
    if flops[DISTILLED] >= flops[society.chosen]:
        used = bool(right[DISTILLED].sum() > right[society.chosen].sum())
    saved = flops[teacher] - flops[DISTILLED]
    pays = f"pays after {spent / saved:,.0f} texts" if saved > 0 else "saves nothing"
    sentence = (
        f"The distilled agent is {'used' if used else 'not used'}: "
        f"{right[DISTILLED].sum():,} of {len(queries.ids):,} texts right against "
        f"{right[society.chosen].sum():,}; its adaptation took {spent:.3g} FLOPs and {pays} in place of "
        f"the society ({teacher})."
    )
    return (society.choosing(DISTILLED) if used else society), sentence
