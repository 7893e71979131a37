"""Compare what agents with few labels of their own reach: alone, together, and when they vote.

Each agent knows the label of a few documents of each class (``few_labels.yaml``). Every arm runs in the
centre; the arms that matter most also run in cells that differ from it in one thing: the labels of each
class, the number of agents, whether an agent has labels of all classes, the topology, the encoders. The
baseline is self-training: the same loss on the agent's own labels of the same anchors.

    python -m experiments.studies.cooperation.few_labels docstrings newsgroups=train.parquet --jobs 2

Runs that have finished are not repeated. ``--only labels --only pseudo_labels --only self_training``
restricts the study to some cells and arms, and ``--dry-run`` says what is left and how long it takes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import typer

from agentos.config.run import RunConfig
from agentos.sweep.plan import Planned
from agentos.sweep.rows import Row
from experiments.studies.cooperation.lexical_labels import ALONE, POOLED, VOTE, label_rows
from experiments.studies.cooperation.paired_lines import ASKED, Claim, Line, Pair
from experiments.studies.cooperation.program import Program, Report
from experiments.studies.cooperation.study_command import command_of
from experiments.studies.exchange import Text

CENTRE, BASELINE, EXCHANGE = "centre", "self_training", "pseudo_labels"
WORDS = (ALONE, VOTE, POOLED)
VOTING = tuple(f"{arm}, {ASKED}" for arm in ("isolated", BASELINE, EXCHANGE, "fedavg"))
CHARTED = (BASELINE, EXCHANGE, f"{EXCHANGE}, {ASKED}", "pooled", "fedavg", ALONE, POOLED)
FAMILIES = {
    "labels of each class": ("labels_1", CENTRE, "labels_8", "labels_32"),
    "agents": ("agents_2", CENTRE, "agents_12", "agents_32"),
    "classes": (CENTRE, "classes_own"),
    "topology": (CENTRE, "topology_ring", "topology_layered", "topology_one_peer"),
    "encoders": (CENTRE, "encoders_unlike"),
}
METRICS = ("own_labels_accuracy", "own_labels_macro_f1")
CLAIMS = (
    Claim("Labels from neighbours teach more than an agent's own", EXCHANGE, BASELINE),
    Claim("They teach what is in the anchors", EXCHANGE, "shuffled"),
    Claim("They teach more than averaged weights", EXCHANGE, "fedavg"),
    Claim(
        "They teach more than averaged weights with self-training", EXCHANGE, "fedavg_self_training"
    ),
    Claim("Having learnt them beats a lexical model of an agent's own labels", EXCHANGE, ALONE),
    Claim(
        "A vote of agents that learnt alone beats one agent that learnt from all",
        VOTING[1],
        EXCHANGE,
    ),
    Claim("A vote after the exchange beats a vote without one", VOTING[2], VOTING[1]),
)
TEXTS = {
    "newsgroups": Text(
        {
            "data.source": {"kind": "parquet", "path": "", "text": "text", "label": "label"},
            "agents.count": 4,
        },
        METRICS,
        needs_file=True,
        classes=20,
    ),
    "docstrings": Text({"agents.count": 6}, METRICS, classes=6),
}
EXPLANATION = """\
Each agent's own classifier on held-out documents. Seeds: {seeds}; none was used to choose the
setting; mean ± half-width of a 95 % Student interval. Gain: paired by seed, over self-training in the
same cell. p: paired t test, Holm-corrected within each table; the claims were written before the runs
and are one family of their own. Bytes, tokens and FLOPs: of all agents in training. `asked`: all agents
classify each text, and the mean of their probabilities answers. `pooled`: self-training in which every
agent has the labels of all. `words`: TF-IDF and logistic regression on an agent's own labels;
`words_vote`: the mean of these models; `words_pooled`: one model on the labels of all agents. They see
as many words as encoders see tokens."""


def report(rows: Sequence[Row], metric: str, planned: Sequence[Planned]) -> Report:
    """Return the centre with all arms, and a table and a panel for each thing that cells differ in."""
    by_cell = {
        cell: lines_of(rows, metric, cell)
        for cell in dict.fromkeys(run.axes["cell"] for run in planned)
    }
    names = names_of(next((run.config for run in planned if run.axes["cell"] == CENTRE), None))
    sections = {"The centre": pairs_of("", by_cell.get(CENTRE, []))}
    panels = {}
    for family, cells in FAMILIES.items():
        known = [cell for cell in cells if by_cell.get(cell)]
        if set(known) > {CENTRE}:
            named = {
                cell: names[family] if cell == CENTRE else cell.partition("_")[2] for cell in known
            }
            # The arms that run in the centre alone are in its own table.
            common = {line.name for cell in known if cell != CENTRE for line in by_cell[cell]}
            sections[family.capitalize()] = [
                pair
                for cell in known
                for pair in pairs_of(
                    named[cell], [line for line in by_cell[cell] if line.name in common]
                )
            ]
            panels[family] = [
                (named[cell], [line for line in by_cell[cell] if line.name in CHARTED])
                for cell in known
            ]
    return Report(by_cell.get(CENTRE, []), sections, panels)


def lines_of(rows: Sequence[Row], metric: str, cell: str) -> list[Line]:
    """Return the lines of a cell: its arms in the order of the rows, the votes, and the lexical models."""
    arms = dict.fromkeys(row["arm"] for row in rows if row["arm"] not in WORDS)
    found = (Line.of(rows, metric, arm, cell=cell) for arm in (*arms, *VOTING, *WORDS))
    return [line for line in found if line is not None]


def pairs_of(group: str, lines: Sequence[Line]) -> list[Pair]:
    """Return each line with the baseline of its cell."""
    baseline = next((line for line in lines if line.name == BASELINE), None)
    return [(group, line, None if line is baseline else baseline) for line in lines]


def names_of(centre: RunConfig | None) -> Mapping[str, str]:
    """Return the name of the centre among the cells of each family."""
    if centre is None or centre.data.private_labels is None:
        return dict.fromkeys(FAMILIES, CENTRE)
    labels = centre.data.private_labels
    values = (labels.per_class, centre.agents.total, labels.classes, "star", "alike")
    return dict(zip(FAMILIES, map(str, values), strict=True))


PROGRAM = Program(
    name="few_labels",
    title="Few labels",
    sweep=Path(__file__).with_name("few_labels.yaml"),
    texts=TEXTS,
    claims=CLAIMS,
    explanation=EXPLANATION,
    report=report,
    words=label_rows,
    words_arm=BASELINE,
)

if __name__ == "__main__":
    typer.run(command_of(PROGRAM))
