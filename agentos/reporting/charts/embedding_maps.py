"""Charts of embeddings: heat maps between agents, 2-D maps of public texts, the probe's confusions.

Shapes: A agents, N texts, D embedding width.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

from agentos.evaluation.base import unit_rows
from agentos.evaluation.joint.joint_encoder import fit_pca
from agentos.evaluation.similarity import rotation_onto
from agentos.records.agent_similarity import AgentSimilarity, Embeddings
from agentos.reporting.charts.heatmaps import confusions, heat_maps
from agentos.reporting.charts.plotting import COLOURS, Chart, colour, label

MAPS = 6
"""Maximum agents with a map: of more, those that are least alike."""
_NEAR = 0.98
"""Share of the texts within the frame of a map; the others are moved to its edge."""


@dataclass(frozen=True)
class Maps:
    """The charts of embeddings in a report.

    Attributes:
        heat: similarities between agents, measure by measure.
        heat_note: the texts and agents that were compared.
        maps: maps of the public texts, agent by agent.
        maps_note: explanation of the maps for the reader.
        legend: name and colour of each group of texts.
        confusions: confusion matrices of the probe, arm by arm.
    """

    heat: list[Chart]
    heat_note: str
    maps: list[Chart]
    maps_note: str
    legend: list[dict[str, str]]
    confusions: list[Chart]

    @property
    def charts(self) -> list[Chart]:
        """All charts."""
        return [*self.heat, *self.maps, *self.confusions]


def draw_maps(between: AgentSimilarity | None, names: Sequence[str]) -> Maps:
    """Return the charts of a run; none if it did not compare its agents.

    Args:
        between: the similarity of the agents, as recorded.
        names: one per agent, each once.
    """
    if between is None:
        return Maps([], "", [], "", [], [])
    return Maps(
        heat=heat_maps(between, names),
        heat_note=_heat_note(between, len(names)),
        maps=text_maps(between, names),
        maps_note=_maps_note(between),
        legend=_legend(between),
        confusions=confusions(between),
    )


def text_maps(between: AgentSimilarity, names: Sequence[str]) -> list[Chart]:
    """Return a map of the public texts for each agent at the end of the run, all aligned.

    Of more than six agents, the six least alike get a map.
    """
    if len(between.sample.texts) < 3:
        return []
    embeddings = between.embeddings.get("together", {})
    planes, shares = planes_of(
        {agent: embeddings[agent] for agent in least_alike(between) if agent in embeddings}
    )
    far = [float(np.quantile(np.abs(plane), _NEAR)) for plane in planes.values()]
    reach = max([*far, 1.0])
    # One or two distant texts would otherwise shrink all others to a dot.
    planes = {agent: np.clip(plane, -reach, reach) for agent, plane in planes.items()}
    span = {"range": [-1.08 * reach, 1.08 * reach], "showticklabels": False, "zeroline": False}
    groups, rank = between.sample.groups, _ranks(between)
    hues = [colour(rank[group]) for group in groups]
    texts = [
        "<br>".join(escape(line, quote=False) for line in textwrap.wrap(text, 44)) or "(no words)"
        for text in between.sample.texts
    ]
    owners = [label(between.sample.names[group]) for group in groups]
    return [
        Chart(
            id=f"map-{agent}",
            title=names[agent],
            caption=f"{shares[agent]:.0%} of the variance",
            traces=[
                {
                    "type": "scatter",
                    "mode": "markers",
                    "x": plane[:, 0].round(4).tolist(),
                    "y": plane[:, 1].round(4).tolist(),
                    "text": texts,
                    "customdata": owners,
                    "hovertemplate": "%{text}<extra>%{customdata}</extra>",
                    "marker": {"color": hues, "size": 6, "opacity": 0.85},
                    "showlegend": False,
                }
            ],
            layout={
                "xaxis": span,
                "yaxis": span | {"scaleanchor": "x"},
                "margin": {"l": 6, "r": 6, "t": 6, "b": 6},
            },
            height_px=280,
        )
        for agent, plane in planes.items()
    ]


def planes_of(
    embeddings: Embeddings,
) -> tuple[dict[int, NDArray[np.float64]], dict[int, float]]:
    """Project unit rows on their two leading principal directions, and align all planes.

    Every plane is scaled to a mean square of 1 and rotated (or mirrored) onto the first agent's, so
    that the same text is in about the same place on every map.

    Args:
        embeddings: agent -> `[N, D]` of the same texts, at least three.

    Returns:
        Agent -> `[N, 2]`, and agent -> the share of the variance that the plane keeps.
    """
    planes: dict[int, NDArray[np.float64]] = {}
    shares: dict[int, float] = {}
    for agent, rows in embeddings.items():
        unit = unit_rows(rows)
        spread = float(unit.var(axis=0).sum())
        plane = np.zeros((len(unit), 2))  # collapsed: all texts are at one point
        if spread > 1e-12:
            fitted = fit_pca(unit, 2)
            plane = (unit - fitted.mean) @ fitted.axes
        shares[agent] = float(plane.var(axis=0).sum()) / spread if plane.any() else 0.0
        scaled = plane / (np.sqrt(np.mean(plane**2)) or 1.0)
        first = next(iter(planes.values()), scaled)
        planes[agent] = scaled @ rotation_onto(scaled, first)
    return planes, shares


def least_alike(between: AgentSimilarity) -> list[int]:
    """Return at most six agents, ascending: the two with the lowest CKA, then the farthest from these."""
    agents, together = between.sample.agents, between.matrices.get("together")
    if len(agents) <= MAPS or together is None:
        return list(agents)
    alike = np.nan_to_num(np.array(together["linear_cka"], dtype=np.float64))
    np.fill_diagonal(alike, np.inf)
    chosen = [int(place) for place in np.unravel_index(np.argmin(alike), alike.shape)]
    while len(chosen) < MAPS:
        chosen.append(int(np.argmin(alike[:, chosen].max(axis=1))))
    return sorted(agents[place] for place in chosen)


def _ranks(between: AgentSimilarity) -> list[int]:
    """Return the place of each group by its number of texts: the largest have hues of their own."""
    counts = np.bincount(between.sample.groups, minlength=len(between.sample.names))
    ranks = np.empty(len(counts), dtype=np.int64)
    ranks[np.argsort(-counts, kind="stable")] = np.arange(len(counts))
    return [int(rank) for rank in ranks]


def _legend(between: AgentSimilarity) -> list[dict[str, str]]:
    names, ranks = between.sample.names, _ranks(between)
    own = len(COLOURS) if len(names) <= len(COLOURS) else len(COLOURS) - 1
    shown = [
        {"name": name, "colour": colour(rank)}
        for name, rank in zip(names, ranks, strict=True)
        if rank < own
    ]
    if len(names) > own:
        shown.append({"name": f"{len(names) - own} others", "colour": COLOURS[-1]})
    return shown


def _heat_note(between: AgentSimilarity, agents: int) -> str:
    sample = between.sample
    texts = f"the {len(sample.texts)} public {sample.source}"
    if sample.available > len(sample.texts):
        texts = f"{len(sample.texts)} of the {sample.available:,} {sample.source}"
    note = f"Similarity of the agents' embeddings of {texts} at the end of the run; darker is more similar, "
    note += "and grey is an agent with itself."
    if len(sample.agents) < agents:
        note += f" Shown are {len(sample.agents)} of {agents:,} agents, evenly spread."
    if len(between.matrices) > 1:
        note += " Next to each: the same agents trained alone, on the same scale."
    return note


def _maps_note(between: AgentSimilarity) -> str:
    agents = len(between.sample.agents)
    which = (
        f"Shown are the {MAPS} of {agents} agents that are least alike. " if agents > MAPS else ""
    )
    by = "label" if between.sample.labelled else "cluster of words, since the texts have no labels"
    return (
        f"{which}The same texts as each agent embeds them: the two leading principal directions of the unit "
        f"embeddings, rotated onto those of the first agent. Coloured by {by}. Texts that overlap here may "
        "be far apart in the other directions; distant texts are moved to the edge."
    )
