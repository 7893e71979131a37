"""The page and the picture of the study of cascades: accuracy against FLOPs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from agentos.reporting.statistics import holm, interval, paired_p
from agentos.reporting.units import count_text
from experiments.studies.exchange_tables import markdown

PRESETS = ("nano", "tiny", "small")
DEAREST, ALL, WORDS = "MiniLM", "fusion of all", "words"
CHOSEN = "cascade, budget chosen on calibrate"
SLACK = 0.005
"""Accuracy on ``calibrate`` that the chosen cascade may lack of the dearest encoder's."""


class Measured(NamedTuple):
    """One way to answer under one seed: accuracy, FLOPs of a text, and FLOPs of fitting."""

    accuracy: float
    flops: float
    fit_flops: float


def table(found: Sequence[Mapping[str, Measured]]) -> str:
    """Return a row for each way to answer."""
    rows = []
    for name in found[0]:
        mine = [each[name] for each in found]
        accuracy = interval([100 * one.accuracy for one in mine])
        gain = interval([100 * (one[name].accuracy - one[DEAREST].accuracy) for one in found])
        share = interval([100 * one[name].flops / one[DEAREST].flops for one in found])
        lexical = name == WORDS
        rows.append(
            [
                name,
                f"{accuracy.mean:.1f} ± {accuracy.half_width:.1f}",
                "–" if name == DEAREST else f"{gain.mean:+.1f} ± {gain.half_width:.1f}",
                "–" if lexical else count_text(float(np.mean([one.flops for one in mine]))),
                "–" if lexical else f"{share.mean:.1f} ± {share.half_width:.1f}",
            ]
        )
    head = ("answered by", "accuracy, %", "over MiniLM, points", "FLOPs", "% of MiniLM's FLOPs")
    return markdown(head, rows)


def verdict(found: Sequence[Mapping[str, Measured]], training_flops: float) -> str:
    """Return what the chosen cascade costs and gains, with p corrected by Holm."""
    pairs = [
        ([one[CHOSEN].accuracy for one in found], [one[other].accuracy for one in found])
        for other in (DEAREST, WORDS, "small")
    ]
    ps = holm([paired_p(first, second) for first, second in pairs])
    gains = [interval((100 * np.subtract(a, b)).tolist()) for a, b in pairs]
    shown = [
        f"{gain.mean:+.1f} ± {gain.half_width:.1f} points over {other} (p {p:.2g})"
        for gain, other, p in zip(gains, (DEAREST, "words", "small"), ps, strict=True)
    ]
    share = np.mean([one[CHOSEN].flops / one[DEAREST].flops for one in found])
    saved = np.mean([one[DEAREST].flops - one[CHOSEN].flops for one in found])
    more = np.mean([one[CHOSEN].fit_flops - one[DEAREST].fit_flops for one in found])
    within = gains[0].mean >= -100 * SLACK and share <= 0.5
    words = "It holds here" if within else "It does not hold here"
    answer = f"The chosen cascade: {'; '.join(shown)}, at {100 * share:.1f} % of MiniLM's FLOPs. "
    answer += f"The aim was 0.5 point at 50 %. {words}, in the mean."
    if saved <= 0:
        return f"{answer} It saves nothing."
    return (
        f"{answer} Fitting the three small encoders' heads takes {count_text(float(more))} FLOPs more than "
        f"MiniLM's alone: paid back after {more / saved:,.0f} texts; with the training of these encoders "
        f"({count_text(training_flops)} FLOPs) after {(more + training_flops) / saved:,.0f}."
    )


def draw(by_shots: Mapping[int, Sequence[Mapping[str, Measured]]]) -> Figure:
    """Draw accuracy against FLOPs, a panel for each number of labels."""
    figure = Figure(figsize=(max(8.0, 5.2 * len(by_shots)), 4.6), layout="constrained")
    axes = figure.subplots(1, len(by_shots), sharey=True, squeeze=False)[0]
    for axis, (shots, found) in zip(axes, by_shots.items(), strict=True):
        curve = [name for name in found[0] if name.startswith("cascade, budget 0")]
        x, y = zip(*(_mean(found, name) for name in curve), strict=True)
        axis.plot(x, y, "o-", markersize=4, label="cascade, budgets 0.2 to 0.9")
        for name in (*PRESETS, DEAREST, ALL, CHOSEN):
            spread = interval([one[name].accuracy for one in found]).half_width
            axis.errorbar(*_mean(found, name), spread, fmt="s", markersize=5, label=name)
        axis.axhline(_mean(found, WORDS)[1], color="grey", linestyle="--", label=WORDS)
        axis.set(xscale="log", xlabel="FLOPs a text", title=f"{shots} labels a class")
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("accuracy")
    figure.legend(
        *axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize="small"
    )
    return figure


def _mean(found: Sequence[Mapping[str, Measured]], name: str) -> tuple[float, float]:
    mine = [each[name] for each in found]
    return float(np.mean([m.flops for m in mine])), float(np.mean([m.accuracy for m in mine]))
