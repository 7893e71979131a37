"""A picture of a corpus: the lengths of the documents, and the labels that each agent reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from agentos.data.summary import Summary, histogram

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, INK = "#0072B2", "#E69F00", "#24292f"
NUMBERED_CELLS = 240  # most cells for which the counts are written into them
NAME_CHARACTERS = 24
ROW_IN, MIN_PANEL_IN = 0.16, 2.6


def draw_corpus(summary: Summary, *, title: str) -> Figure:
    """Draw the lengths of documents, and the labels that each agent reads.

    Without labels the private documents and tokens of every agent are drawn instead. The picture
    grows with the number of agents; beyond 200 not every one is named.

    Args:
        summary: what to draw.
        title: written above.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    agents, labels = len(summary.documents), len(summary.labels)
    height_in = min(40.0, max(MIN_PANEL_IN, ROW_IN * agents)) + 1.9
    right_in = min(30.0, max(4.5, 0.34 * labels + 1.2)) if labels else 5.0
    figure = Figure(figsize=(5.0 + right_in, height_in), facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=11, color=INK)
    left, right = figure.subplots(1, 2, width_ratios=[3.6, right_in])
    # The right half makes the picture tall; the histogram keeps a readable height.
    left.set_box_aspect(min(1.2, height_in / 4.0) if agents > 20 else None)
    left.set_anchor("N")
    _draw_lengths(left, summary)
    if labels:
        _draw_labels(figure, right, summary)
    else:
        _draw_amounts(right, summary)
    return figure


def _draw_lengths(axes: Axes, summary: Summary) -> None:
    bounds, counts = histogram(summary.lengths)
    axes.bar(range(len(counts)), counts, width=0.9, color=BLUE)
    shown = [f"{low}–{max(2 * low, 2) - 1}" for low in bounds]
    axes.set_xticks(range(len(counts)), shown, rotation=45, ha="right", fontsize=7)
    axes.set_xlabel("tokens in a document", fontsize=8)
    axes.set_ylabel("documents", fontsize=8)
    axes.set_title(f"Lengths, median {int(np.median(summary.lengths)):,} tokens", fontsize=9)
    _plain(axes)


def _draw_labels(figure: Figure, axes: Axes, summary: Summary) -> None:
    table = summary.by_label
    image = axes.imshow(table, cmap="Blues", aspect="auto", vmin=0, interpolation="nearest")
    axes.set_xticks(
        range(len(summary.labels)), _short(summary.labels), rotation=45, ha="right", fontsize=7
    )
    _name_agents(axes, summary)
    axes.set_title("Private documents by agent and label", fontsize=9)
    axes.tick_params(length=0)
    if table.size <= NUMBERED_CELLS:
        for (agent, label), count in np.ndenumerate(table):
            ink = "white" if count > 0.6 * table.max() else INK
            axes.text(label, agent, f"{count}", ha="center", va="center", fontsize=6, color=ink)
    bar = figure.colorbar(image, ax=axes, shrink=min(1.0, 2.4 / figure.get_figheight()), pad=0.02)
    bar.ax.tick_params(labelsize=7)
    bar.outline.set_visible(False)


def _draw_amounts(axes: Axes, summary: Summary) -> None:
    places: npt.NDArray[np.int64] = np.arange(len(summary.documents))
    axes.barh(places - 0.2, summary.documents, height=0.4, color=BLUE)
    axes.set_xlabel("private documents", fontsize=8, color=BLUE)
    second = axes.twiny()
    second.barh(places + 0.2, summary.tokens, height=0.4, color=ORANGE)
    second.set_xlabel("private tokens", fontsize=8, color="#A66F00")
    _name_agents(axes, summary)
    axes.set_ylim(len(places) - 0.4, -0.6)
    for each in (axes, second):
        _plain(each)
    second.spines["top"].set_visible(True)


def _name_agents(axes: Axes, summary: Summary) -> None:
    step = 1 + len(summary.names) // 200
    places = list(range(0, len(summary.names), step))
    axes.set_yticks(places, _short([summary.names[place] for place in places]), fontsize=7)


def _short(names: Sequence[str]) -> list[str]:
    # Dollar signs would begin a formula.
    kept = (n if len(n) <= NAME_CHARACTERS else f"{n[: NAME_CHARACTERS - 1]}…" for n in names)
    return [name.replace("$", r"\$") for name in kept]


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=7)
