"""Explanations of a few held-out texts of a run, recorded for its report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from agentos.audit.explanation.explanation_page import pieces, trust
from agentos.audit.explanation.neighbours import nearest
from agentos.audit.explanation.word_explanation import explain
from agentos.evaluation.loaded_encoder import LoadedEncoder
from agentos.records.atomic_files import write_json
from agentos.records.layout import EXPLANATIONS
from agentos.records.saved_encoders import find_encoder
from protocols.seeding import generator

_ANCHORS, _NEAREST = 512, 3
_CHARACTERS = 300
"""Characters of a text that are explained, and of an anchor that are shown."""


def explain_run(
    directory: Path,
    texts: Sequence[str],
    anchors: Sequence[str],
    count: int,
    seed: int,
    agent: int = 0,
) -> Path:
    """Explain held-out texts of a finished run by one agent's encoder; return the record.

    Explained is the most probable class where the agent has a classifier, else the embedding.

    Args:
        directory: the run folder.
        texts: held-out texts.
        anchors: the public texts of the run.
        count: texts to explain.
        seed: draws them.
        agent: the agent.

    Raises:
        ConfigurationError: the run has saved no encoder of this agent.
        RecordError: the record cannot be written.
    """
    encoder = LoadedEncoder.load(str(find_encoder(directory, agent)))
    drawn = generator(seed, "explained texts").permutation(len(texts))
    found = []
    for row in drawn[:count].tolist():
        text = texts[row][:_CHARACTERS]
        label = None if encoder.classifier is None else "auto"
        explained = explain(encoder, text, label=label, seed=seed)
        near = nearest(encoder, text, anchors[:_ANCHORS], _NEAREST)
        found.append(
            {
                "target": explained.target,
                "score": explained.attribution.score,
                "pieces": pieces(explained),
                "trust": trust(explained),
                "near": [(one.cosine, one.text[:_CHARACTERS]) for one in near],
            }
        )
    path = directory / EXPLANATIONS
    write_json(path, {"agent": agent, "texts": found})
    return path
