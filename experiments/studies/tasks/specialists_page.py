"""The page and the picture of the study of specialists: accuracy against FLOPs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from agentos.reporting.statistics import holm, interval, paired_p
from agentos.reporting.units import bytes_text, count_text
from experiments.studies.exchange_tables import markdown
from experiments.studies.tasks.fusion_peers import PEERS, installed

BEST, FUSED, WORDS, SIDE_BY_SIDE = "single", "master_slave", "words", "side by side"
COPIED = (
    "fused, the worst agent three times",
    "the same, not known as copies",
    "crowd-kit, Dawid–Skene, the same",
)
COMPARED = (
    (FUSED, BEST, "The society beats its best agent", "at least +3"),
    (FUSED, SIDE_BY_SIDE, "Fused answers match a head on all embeddings", "at least -1"),
    (
        "best, then all: confidence",
        "best, then all: random",
        "Deferral by confidence beats the lot",
        "",
    ),
    (FUSED, WORDS, "The society beats words alone", ""),
)


class Measured(NamedTuple):
    """One way to answer under one seed: accuracy, and FLOPs and bytes of a text."""

    accuracy: float
    flops: float
    payload_bytes: float


class Found(NamedTuple):
    """All that was measured under one seed.

    Attributes:
        ways: the ways to answer.
        others: accuracy of other fusions and programs, and with copies of an agent.
    """

    ways: Mapping[str, Measured]
    others: Mapping[str, float]


def head(command: str, texts: int, tokens: int, seeds: int, budget: float) -> str:
    """Return the beginning of the page."""
    return (
        f"# Specialists that answer together\n\n`{command}`\n\n"
        f"Which of six libraries is a docstring of? {texts:,} texts of {tokens} tokens; six nano encoders, "
        "each trained on the docstrings of one library, in a run of `agentos run quickstart`; "
        f"{seeds} paired seeds (runs, labels, splits), mean ± half-width of a 95 % Student interval, p of "
        "paired t tests corrected by Holm within a table. FLOPs and bytes are of a test text. *single*: the "
        "agent that is best out of fold. *master_slave*: all are asked, and stacking fuses. *side by side*: "
        "one head on the embeddings of all, which the others would have to send. *best, then all*: the best "
        f"agent answers, and the others are asked about at most {budget:.0%} of the texts. *one by one*: a "
        "cascade of six levels. All agents cost alike here, so a cascade saves by asking fewer. *distilled*: "
        "the best agent, taught by the society on the texts of `fit` whose labels were not used.\n\n"
        "![Accuracy against FLOPs](specialists.png)\n\n"
        "In the picture marks of ways that cost alike stand up to 4 % apart.\n\n"
    )


def page(found: Sequence[Found], shots: int) -> str:
    """Return the tables of one number of labels."""
    parts = [
        f"## {shots} labels a class",
        _ways(found),
        _claims(found),
        _others(found),
    ]
    absent = sorted({module for module, _ in PEERS.values() if not installed(module)})
    if absent:
        parts.append(f"Not installed: {', '.join(absent)}.")
    return "\n\n".join(parts) + "\n"


def _ways(found: Sequence[Found]) -> str:
    rows = []
    for name in found[0].ways:
        mine = [each.ways[name] for each in found]
        gain = [one.ways[name].accuracy - one.ways[BEST].accuracy for one in found]
        rows.append(
            [
                name,
                _spread([one.accuracy for one in mine]),
                "–" if name == BEST else _spread(gain, "+"),
                "–" if name == WORDS else count_text(float(np.mean([one.flops for one in mine]))),
                "–"
                if name == WORDS
                else bytes_text(float(np.mean([one.payload_bytes for one in mine]))),
            ]
        )
    return markdown(
        ("answered by", "accuracy, %", "over the best agent, points", "FLOPs", "bytes"), rows
    )


def _claims(found: Sequence[Found]) -> str:
    pairs = [
        ([one.ways[a].accuracy for one in found], [one.ways[b].accuracy for one in found])
        for a, b, *_ in COMPARED
    ]
    corrected = holm([paired_p(first, second) for first, second in pairs])
    rows = [
        [claim, f"{a} − {b}", _spread(np.subtract(first, second).tolist(), "+"), aim, f"{p:.2g}"]
        for (a, b, claim, aim), (first, second), p in zip(COMPARED, pairs, corrected, strict=True)
    ]
    ways = found[0].ways
    share = ways[FUSED].payload_bytes / ways[SIDE_BY_SIDE].payload_bytes
    table = markdown(("claim", "compared", "points", "aim", "p (Holm)"), rows)
    return (
        f"{table}\n\nFused answers take {share:.1%} of the bytes of all embeddings (aim: 12.5 %)."
    )


def _others(found: Sequence[Found]) -> str:
    rows = []
    for name in found[0].others:
        mine = [each.others[name] for each in found]
        over = [each.others[name] - each.ways[FUSED].accuracy for each in found]
        rows.append([name, _spread(mine), _spread(over, "+")])
    return markdown(("fused by", "accuracy, %", "over master_slave, points"), rows)


def draw(by_shots: Mapping[int, Sequence[Found]]) -> Figure:
    """Draw accuracy against FLOPs, a panel for each number of labels."""
    figure = Figure(figsize=(max(8.0, 5.0 * len(by_shots)), 4.8), layout="constrained")
    axes = figure.subplots(1, len(by_shots), sharey=True, squeeze=False)[0]
    hues = colormaps["tab20"]
    for axis, (shots, found) in zip(axes, by_shots.items(), strict=True):
        for number, name in enumerate(found[0].ways):
            mine = [each.ways[name] for each in found]
            accuracy = interval([one.accuracy for one in mine])
            flops = float(np.mean([one.flops for one in mine]))
            if name == WORDS:
                axis.axhline(accuracy.mean, color="grey", linestyle="--", label=name)
                continue
            shape = "^" if name.startswith("one by one") else "s" if ":" in name else "o"
            beside = flops * (1 + 0.02 * (number % 5 - 2))  # ways that cost alike stay apart
            axis.errorbar(
                beside,
                accuracy.mean,
                accuracy.half_width,
                fmt=shape,
                color=hues(2 * number % 19),
                markersize=5,
                label=name,
            )
        axis.set(xscale="log", xlabel="FLOPs a text", title=f"{shots} labels a class")
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("accuracy")
    figure.legend(
        *axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize="small"
    )
    return figure


def _spread(values: Sequence[float], sign: str = "") -> str:
    found = interval(list(values))
    return f"{100 * found.mean:{sign}.1f} ± {100 * found.half_width:.1f}"
