"""The ways to answer that the study of specialists compares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from agentos.tasks.cooperation import Cascade, Evidence, Outcome, Queries
from agentos.tasks.cooperation.cascade import Levels, levels_of
from agentos.tasks.society.fitted_society import SINGLE, FittedSociety
from agentos.tasks.solving.lexical_baseline import lexical_probabilities
from agentos.tasks.solving.workbench import Bench, Workbench
from agents.answering import DEFERRALS, FUSIONS, Answers, Examples, Head, fit_fusion
from agents.answering.adapt import Prototype
from agents.answering.answers import Labels, Split
from agents.answering.distil import Distil
from experiments.studies.tasks.fusion_peers import Said, dawid_skene, installed, peers
from experiments.studies.tasks.specialists_page import (
    COPIED,
    FUSED,
    SIDE_BY_SIDE,
    WORDS,
    Found,
    Measured,
)

BUDGET = 0.3
"""Share of the texts that reach a level, at most, that it passes on."""


def all_ways(work: Workbench, models: Sequence[int]) -> Found:
    """Adapt models, fit every way to answer, and return how each did on the test texts."""
    members, order, evidence = work.adapted(models)
    society = FittedSociety.fitted(work.config, members, work.bench.classes, evidence)
    said = said_of(work, society, order, evidence)
    ways = {
        WORDS: _words(work.bench, work.config.task.max_length),
        SIDE_BY_SIDE: _side_by_side(work, order),
    }
    for name in (SINGLE, FUSED, "peer"):
        ways[name] = _measured(
            work, society.answer(work.bench.queries("test"), work.embed(order), name)
        )
    best_then_all = ((0,), tuple(range(1, len(order))))
    chain = levels_of(society.network("layered"))
    for deferral in DEFERRALS:
        found = _cascade(work, society, order, evidence, best_then_all, deferral)
        ways[f"best, then all: {deferral}"] = found
    ways["one by one"] = _cascade(work, society, order, evidence, chain, "confidence")
    ways["best, prototypes"] = _prototypes(work, society, order)
    ways["distilled"] = _distilled(work, society, order)
    others = {**_fusions(said), **peers(said, BUDGET), **_copies(work, said)}
    return Found(ways, others)


def said_of(
    work: Workbench, society: FittedSociety, order: Sequence[int], evidence: Evidence
) -> Said:
    """Return what the agents of a society embed and answer."""
    bench, members, panel = work.bench, society.members, society.panel(work.embed(order))
    splits: tuple[Split, ...] = ("fit", "calibrate", "test")
    rows = {s: [work.features(m, bench.rows(s)).features for m in order] for s in splits}
    codes: dict[str, Labels] = {s: bench.codes[bench.rows(s)] for s in splits}
    test = bench.queries("test")
    return Said(
        {s: np.concatenate(each, axis=1) for s, each in rows.items()},
        tuple(mine.shape[1] for mine in rows["fit"]),
        codes,
        evidence.fit,
        evidence.calibrate,
        tuple(panel.answer(agent, test)[0] for agent in range(len(order))),
        tuple(member.head for member in members),
    )


def _cascade(
    work: Workbench,
    society: FittedSociety,
    order: Sequence[int],
    evidence: Evidence,
    levels: Levels,
    deferral: str,
) -> Measured:
    cascade = Cascade.fitted(
        evidence, levels, DEFERRALS[deferral].model_validate({"budget": BUDGET})
    )
    setting = society.setting("layered" if len(levels) > 2 else "master_slave", faulty=False)
    panel = society.panel(work.embed(order))
    return _measured(work, cascade.answer(panel, work.bench.queries("test"), setting))


def _measured(work: Workbench, outcome: Outcome) -> Measured:
    right = outcome.answers.right(work.bench.codes[outcome.answers.ids])
    return Measured(
        float(right.mean()), float(outcome.flops.mean()), float(outcome.payload_bytes.mean())
    )


def _prototypes(work: Workbench, society: FittedSociety, order: Sequence[int]) -> Measured:
    """Measure the best agent with class means in place of a regression."""
    bench = work.bench
    fit = Examples("fit", bench.rows("fit"), work.features(order[0], bench.rows("fit")).features)
    made = Prototype().fit(fit, bench.codes[fit.ids], len(bench.classes), work.config.seed)
    return _alone(work, society, order, 0, made)


def _distilled(work: Workbench, society: FittedSociety, order: Sequence[int]) -> Measured:
    """Measure the best agent after it has learnt what the society answers to texts without labels."""
    bench = work.bench
    rows = {"fit": bench.rows("fit"), "query": bench.spare}
    taught = society.answer(Queries("query", bench.spare), work.embed(order), FUSED)
    fit, asked = (
        Examples(split, ids, work.features(order[0], ids).features)  # type: ignore[arg-type]
        for split, ids in rows.items()
    )
    made = Distil().distilled(fit, bench.codes[fit.ids], asked, taught.answers)
    return _alone(work, society, order, 0, made)


def _alone(
    work: Workbench, society: FittedSociety, order: Sequence[int], agent: int, made: Head
) -> Measured:
    members = list(society.members)
    members[agent] = replace(members[agent], head=made)
    panel = replace(society.panel(work.embed(order)), members=tuple(members))
    queries = work.bench.queries("test")
    answers, flops = panel.answer(agent, queries)
    right = answers.right(work.bench.codes[queries.ids])
    return Measured(float(right.mean()), float(flops.mean()), 0.0)


def _fusions(said: Said) -> dict[str, float]:
    """Return the accuracy of every fusion of the same answers."""
    found = {}
    for kind, fusion in FUSIONS.items():
        answers = fit_fusion(fusion.model_validate({}), said.fit, said.labels["fit"]).fuse(
            said.test
        )
        found[kind] = float(answers.right(said.labels["test"]).mean())
    return found


def _copies(work: Workbench, said: Said) -> dict[str, float]:
    """Return the accuracy with the worst agent three times: known as copies, not known, and crowd-kit's."""
    right = [float(a.right(said.labels["fit"]).mean()) for a in said.fit]
    agents = [*range(len(right)), *[int(np.argmin(right))] * 2]
    labels = said.labels

    def fused(known: bool) -> float:
        def all_of(answers: Sequence[Answers]) -> list[Answers]:
            found = [answers[agent] for agent in agents]
            return found if known else [_renamed(each, n) for n, each in enumerate(found)]

        fusion = fit_fusion(work.config.fuse, all_of(said.fit), labels["fit"])
        return float(fusion.fuse(all_of(said.test)).right(labels["test"]).mean())

    found = {COPIED[0]: fused(True), COPIED[1]: fused(False)}
    if installed("crowdkit"):
        found[COPIED[2]] = float((dawid_skene(said, agents) == labels["test"]).mean())
    return found


def _renamed(answers: Answers, number: int) -> Answers:
    return replace(answers, origins=(f"{number:032x}",))


def _words(bench: Bench, tokens: int) -> Measured:
    fit, test = bench.rows("fit"), bench.rows("test")
    texts = [[" ".join(each) for each in bench.texts(rows)] for rows in (fit, test)]
    found = lexical_probabilities(texts[0], bench.codes[fit], texts[1], tokens)
    return Measured(float((found.argmax(axis=1) == bench.codes[test]).mean()), 0.0, 0.0)


def _side_by_side(work: Workbench, order: Sequence[int]) -> Measured:
    bench, flops = work.bench, 0.0
    parts: dict[str, np.ndarray] = {}
    splits: tuple[Split, ...] = ("fit", "test")
    for split in splits:
        rows = bench.rows(split)
        read = [work.features(model, rows) for model in order]
        parts[split] = np.concatenate([each.features for each in read], axis=1)
        flops = sum(
            float(each.tokens.mean())
            * work.encoders.cards[model].flops(work.config.task.max_length)
            for model, each in zip(order, read, strict=True)
        )
    fit, test = bench.rows("fit"), bench.rows("test")
    examples = Examples("fit", fit, parts["fit"])
    made = work.config.adapt.fit(examples, bench.codes[fit], len(bench.classes))
    answers = made.answer(Examples("test", test, parts["test"]), "0" * 32)
    sent = 4.0 * parts["test"].shape[1] * (len(order) - 1) / len(order)
    return Measured(float(answers.right(bench.codes[test]).mean()), flops + made.flops, sent)
