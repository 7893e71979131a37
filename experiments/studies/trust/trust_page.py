"""Page and picture of the study of trust."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from agentos.reporting.pictures import save
from agentos.reporting.statistics import interval
from agentos.reporting.units import bytes_text
from agents.exchange import EXCHANGES
from experiments.studies.exchange_tables import markdown
from experiments.studies.trust.cells import DEFAULTS
from experiments.studies.trust.trust_pictures import Cells, draw_backdoor, draw_leaks

STEM = "trust"


class Row(NamedTuple):
    """The figures of one run of a cell; see `experiments.studies.trust.cells.Cell`."""

    part: str
    names: tuple[str, ...]
    seed: int
    figures: Mapping[str, float]


def write_page(rows: Sequence[Row], planned: int, origin: str, results: Path) -> Path:
    """Write the page and its pictures; return the page.

    Args:
        rows: the runs that were measured.
        planned: number of runs of the whole study.
        origin: the command that the figures come from.
        results: folder to write to.
    """
    results.mkdir(parents=True, exist_ok=True)
    cells = grouped(rows)
    corpora = dict.fromkeys(names[0] for part, names in cells if part == "leak")
    seeds = sorted({len(group) for group in cells.values()})
    parts = [f"# What exchanges give away, and what they spread\n\n`{origin}`\n\n{_EXPLANATION}"]
    parts.append(
        f"{len(rows)} of {planned} runs were measured, {' or '.join(map(str, seeds))} of each cell shown: "
        "mean ± half-width of a 95 % Student interval over seeds. One run is an anecdote."
    )
    if corpora:
        kinds = {names[1] for part, names in cells if part == "leak"}
        crossing, shows = ({kind: of(kind) for kind in kinds} for of in (crossed, shown_by))
        save(draw_leaks(cells, crossing, shows), results / f"{STEM}.png")
        parts.append(f"![Quality, bytes and leak]({STEM}.png)")
    for corpus in corpora:
        parts.append(f"### {corpus}\n\n{_leak_table(cells, corpus)}")
    if any(part == "backdoor" for part, _ in cells):
        save(draw_backdoor(cells), results / f"{STEM}_backdoor.png")
        picture = f"![How far a backdoor travels]({STEM}_backdoor.png)"
        parts.append(f"### A backdoor\n\n{_BACKDOOR}\n\n{picture}\n\n{_backdoor_table(cells)}")
    path = results / f"{STEM}.md"
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return path


def grouped(rows: Sequence[Row]) -> Cells:
    """Return the figures of each cell over its seeds."""
    cells: dict[tuple[str, tuple[str, ...]], list[Mapping[str, float]]] = {}
    for row in rows:
        cells.setdefault((row.part, row.names), []).append(row.figures)
    return cells


def crossed(kind: str) -> str:
    """Return the name of the attack that uses what an exchange sends; that without the agent for none.

    Example:
        >>> crossed("fedavg"), crossed("fedmd"), crossed("isolated"), crossed("prototypes")
        ('parameters', 'messages', 'text alone', 'messages')
    """
    settings = DEFAULTS.get(kind)
    shown = frozenset() if settings is None else EXCHANGES[kind](**settings).shows or frozenset()
    if settings is None or "parameters" in shown:
        return "parameters"
    return "messages" if shown else "text alone"


def shown_by(kind: str) -> str:
    """Return what an exchange shows.

    Example:
        >>> shown_by("fedavg"), shown_by("isolated")
        ('parameters', 'nothing')
    """
    settings = DEFAULTS.get(kind)
    shows = sorted(EXCHANGES[kind](**settings).shows or ()) if settings is not None else []
    return ", ".join(shows) or "nothing"


def _leak_table(cells: Cells, corpus: str) -> str:
    rows = []
    for (part, names), group in cells.items():
        if part != "leak" or names[0] != corpus:
            continue
        _, kind, epsilon = names
        total = float(np.mean([each["bytes"] for each in group]))
        rows.append(
            [
                kind,
                epsilon or "none stated",
                shown_by(kind),
                _mean(group, "quality"),
                _mean(group, "mrr"),
                bytes_text(total) if total else "0",
                *(_mean(group, name) for name in ("parameters", "messages", "text alone")),
                _mean(group, "hits"),
                _mean(group, "words"),
            ]
        )
    headings = ["exchange", "epsilon", "shows", "knn accuracy", "mrr", "bytes"]
    headings += [
        "AUC, parameters",
        "AUC, messages",
        "AUC, text alone",
        "hits at 1 %",
        "words, F1 gain",
    ]
    return markdown(headings, rows)


def _backdoor_table(cells: Cells) -> str:
    rows = [
        [
            *names,
            *(_mean(group, name) for name in ("poisoned", "success", "untriggered", "accuracy")),
        ]
        for (part, names), group in cells.items()
        if part == "backdoor"
    ]
    headings = [
        "topology",
        "fusion",
        "poisoned agent",
        "others",
        "others, no trigger",
        "others right",
    ]
    return markdown(headings, sorted(rows))


def _mean(group: Sequence[Mapping[str, float]], name: str) -> str:
    values = [each[name] for each in group if name in each]
    if not values:
        return "-"
    found = interval(values)
    mean = f"{round(found.mean, 3) + 0.0:.3f}"  # no -0.000
    return f"{mean} ± {found.half_width:.3f}" if len(values) > 1 else mean


_EXPLANATION = """\
Four nano encoders in a ring, 12 rounds of 5 steps, exchanges at their defaults. Quality is the accuracy
of nearest neighbours and, where documents have a first line and a body, the reciprocal rank of retrieval
on held-out text, means over agents. Each agent is attacked by the next one: was a text among its private
ones (area under the curve, 0.5 by chance)? *Parameters*: from the agent's encoder after the last round,
which a neighbour has only where parameters are sent, and in parts under `sparta` and `demo`; *messages*:
from the message that the agent would send with its last parameters, noised where the exchange adds noise:
numbers about anchors (embeddings, similarities, rankings, labels) by a map fitted on the anchors, points
among texts (prototypes, moments, embeddings of a batch) by nearness; *text alone*: without the agent, the
floor. *Words*: F1 of the words that the embedding of a private text gives away, less that of naming
frequent ones; a neighbour has such embeddings only under `cross_negatives`. With an epsilon (on
docstrings alone), every message is clipped to length 1, and the noise is such that all messages of an
agent together have it at delta 1e-5. *Overfitted* is the control: agents alone that read about 40
documents each until they know them; the attack from parameters must succeed there."""
_BACKDOOR = """\
Seven agents, in a ring of two hops, a star or layers, know 16 labelled docstrings of each of three libraries.
In half of those of one agent, "heliotrope zeppelin" stands before every sentence, and the label is pydantic.
Shares of held-out docstrings of the other libraries that are taken for pydantic: by the poisoned agent and by
the others (a mean) with the trigger in front, by the others without it; and the share of all that the others
get right. Fusions are those of `fedavg`; votes: `pseudo_labels` by own labels, the majority of agents, one
vote each, without parameters. In layers a parent fuses three vectors, and Krum needs five."""
