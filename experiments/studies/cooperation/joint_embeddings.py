"""Compare joint embeddings with a larger encoder, with an ensemble on one's own text, and with averaging.

Four agents that read different topics answer side by side (``joint.yaml``). The references: as many encoders
on one agent's own text, one encoder of twice the width at equal operations, the average of all encoders, and
one encoder on all text.

    python -m experiments.studies.cooperation.joint_embeddings docstrings newsgroups=train.parquet --jobs 2

Runs that have finished are not repeated. ``--only all --only own_ensemble`` restricts the study to some arms,
and ``--dry-run`` says what is left and how long it takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer

from agentos.config.run import RunConfig
from agentos.sweep.plan import Planned
from agentos.sweep.rows import Row
from experiments.studies.cooperation.paired_lines import ASKED, Claim, Line, Pair
from experiments.studies.cooperation.program import Program, Report
from experiments.studies.cooperation.study_command import command_of
from experiments.studies.exchange import Text
from experiments.studies.lexical import lexical_scores

ONE, ALL, WORDS, CENTRALISED = "all", f"all, {ASKED}", "words", "centralised"
"""One agent that learnt alone (the runs of `all`), all of them side by side, and a lexical model."""
ENSEMBLE, ENSEMBLE_OF_4 = f"own_ensemble, {ASKED}", f"own_ensemble_of_4, {ASKED}"
SECTIONS = {
    "Four agents": (
        *(ONE, ALL, f"neighbours, {ASKED}", ENSEMBLE, ENSEMBLE_OF_4, "wide", "fedavg"),
        *(CENTRALISED, "centralised_wide", WORDS),
    ),
    "Width": (ONE, *(f"pca_{width}, {ASKED}" for width in (32, 64, 128)), ALL),
    "After an exchange": (
        *(ONE, ALL, "fedavg", f"fedavg, {ASKED}", "anchor_contrast", f"anchor_contrast, {ASKED}"),
        *("embedding_distillation", f"embedding_distillation, {ASKED}"),
        *("pseudo_labels", f"pseudo_labels, {ASKED}"),
    ),
    # Each number of agents divides the text in its own way, so that each has a reference of its own.
    "Two agents": ("all_2", f"all_2, {ASKED}", f"own_ensemble_2, {ASKED}"),
    "Eight agents": (
        *("all_8", f"all_8, {ASKED}", f"neighbours_8, {ASKED}", f"own_ensemble_8, {ASKED}"),
    ),
}
"""Lines of each table; the first one is the reference."""
CLAIMS = (
    Claim("All agents beat as many encoders of one's own text", ALL, ENSEMBLE_OF_4),
    Claim(
        "An agent and its neighbours beat as many encoders of its own text",
        f"neighbours, {ASKED}",
        ENSEMBLE,
    ),
    Claim("All agents beat one encoder of twice the width at equal operations", ALL, "wide"),
    Claim("At the width of one agent, all beat one", f"pca_64, {ASKED}", ONE),
    Claim(
        "At the width of one agent, all beat the average of their weights",
        f"pca_64, {ASKED}",
        "fedavg",
    ),
    Claim("All agents beat one encoder on all text with their operations", ALL, CENTRALISED),
)
TEXTS = {
    "newsgroups": Text({}, ("probe_accuracy", "knn_accuracy"), needs_file=True),
    "docstrings": Text(
        {
            "data.source": {
                "kind": "docstrings",
                "packages": ["torch", "scipy", "sklearn", "sympy", "pandas", "ray"],
            },
            "data.heldout_limit": 100_000,
            "evaluation.tasks": ["retrieval", "probe"],
        },
        ("mrr", "probe_accuracy"),
    ),
}
EXPLANATION = """\
Four agents with the `nano` encoder (2 layers x 64) that read different text. Seeds: {seeds}; mean ±
half-width of a 95 % Student interval. `asked`: the embeddings of the agents side by side. Gain: paired
by seed, over the first line of the table. p: paired t test, Holm-corrected within each table; the claims
were written before the runs and are one family of their own. Bytes, tokens and FLOPs: of all agents in
training. Bytes and FLOPs of a text: the text to every agent asked, a float32 embedding of each back, and
the operations of all encoders. `words`: TF-IDF, with the weights of words of all text, cut to as many
words as encoders see tokens."""


def report(rows: Sequence[Row], metric: str, planned: Sequence[Planned]) -> Report:
    """Return the tables of `SECTIONS`, and a panel for each."""
    names = dict.fromkeys(name for section in SECTIONS.values() for name in section)
    lines = {name: line for name in names if (line := Line.of(rows, metric, name)) is not None}
    sections: dict[str, list[Pair]] = {}
    for title, section in SECTIONS.items():
        known = [lines[name] for name in section if name in lines]
        reference = lines.get(section[0])
        if len(known) > 2:  # two are in the first table already
            sections[title] = [
                ("", line, None if line is reference else reference) for line in known
            ]
    panels = {
        title: [(line.name, [line]) for _, line, _ in pairs] for title, pairs in sections.items()
    }
    return Report(list(lines.values()), sections, panels)


def words(config: RunConfig) -> list[Row]:
    """Return the row of TF-IDF vectors, with the weights of words of all text."""
    scores = lexical_scores(config)
    parts = {
        f"{name}.{part}": value for name, value in scores.items() for part in ("mean", "worst")
    }
    return [{"arm": WORDS, **parts}]


PROGRAM = Program(
    name="joint_embeddings",
    title="Joint embeddings",
    sweep=Path(__file__).with_name("joint.yaml"),
    texts=TEXTS,
    claims=CLAIMS,
    explanation=EXPLANATION,
    report=report,
    words=words,
    words_arm=ONE,
)

if __name__ == "__main__":
    typer.run(command_of(PROGRAM))
