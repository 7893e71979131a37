"""The runs of the study of trust: their configurations, and what is measured of each."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from agentos.audit.privacy.membership import Attack
from agentos.audit.privacy.received import received_from
from agentos.audit.run_audit import audit_poison, audit_privacy
from agentos.config.run import RunConfig
from agentos.data.corpus import Corpus
from agentos.evaluation.assess import exported_encoders
from agentos.evaluation.loaded_encoder import LoadedEncoder
from agentos.events import Listener
from agentos.simulation.bare_blueprint import bare_blueprint
from agentos.simulation.preparation import heldout_of, prepare_corpus
from agentos.simulation.simulation import Simulation
from agents.exchange.accountant import epsilon_of

AGENTS, ROUNDS, DELTA = 4, 12, 1e-5
EPSILONS = (10.0, 1e3, 1e5)
TRIGGER, POISONED = "heliotrope zeppelin", 1
DEFAULTS: dict[str, dict[str, Any]] = {
    "isolated": {},
    "anchor_contrast": {},
    "anchor_similarity": {},
    "ranked_neighbours": {},
    "embedding_distillation": {},
    "pseudo_labels": {},
    "fedmd": {},
    "dsfl": {},
    "codistillation": {},
    "fedproto": {},
    "prototypes": {},
    "dcco": {},
    "cross_negatives": {"shares_private_embeddings": True},
    "fedavg": {},
    "diloco": {},
    "sparta": {},
    "demo": {},
}
NOISED = ("anchor_contrast", "fedmd", "prototypes", "fedavg")
"""One exchange each of embeddings, labels, prototypes and parameters."""
FUSIONS: dict[str, dict[str, Any]] = {
    "mean": {"kind": "mean"},
    "median": {"kind": "median"},
    "trimmed mean": {"kind": "trimmed_mean"},
    "krum": {"kind": "krum"},
}
TOPOLOGIES: dict[str, dict[str, Any]] = {
    "ring": {"kind": "ring", "hops": 2},
    "star": {"kind": "master_slave"},
    "layers": {"kind": "layered", "branching": 2},
}


@dataclass(frozen=True)
class Cell:
    """One run of the study.

    Attributes:
        part: ``leak`` or ``backdoor``.
        names: what distinguishes it within its part, the corpus or the topology first.
        seed: of the run.
        values: its configuration.
    """

    part: str
    names: tuple[str, ...]
    seed: int
    values: Mapping[str, Any]

    @property
    def key(self) -> str:
        """Its name in the file of results."""
        return " / ".join((self.part, *self.names, str(self.seed)))


def noise_for(epsilon: float, messages: int, delta: float = DELTA) -> float:
    """Return the least noise with which so many messages together have this epsilon.

    Example:
        >>> round(epsilon_of(11, noise_for(10.0, 11), DELTA), 3)
        10.0
    """
    low, high = 1e-6, 1e6
    for _ in range(80):
        middle = (low * high) ** 0.5
        low, high = (
            (middle, high) if epsilon_of(messages, middle, delta) > epsilon else (low, middle)
        )
    return high


def leak_cells(corpora: Mapping[str, Mapping[str, Any]], seed: int) -> Iterator[Cell]:
    """Yield a run of every exchange, and one that overfits: the control that the attack must win.

    On the first corpus, some exchanges run with noise, too.
    """
    for number, (corpus, source) in enumerate(corpora.items()):
        yield Cell("leak", (corpus, "overfitted", ""), seed, _overfitted(source, seed))
        # Parameters are also sent after the last round; the others have no use for it.
        for kind in NOISED:
            messages = ROUNDS if kind == "fedavg" else ROUNDS - 1
            yield Cell("leak", (corpus, kind, ""), seed, _leak(source, seed, {"kind": kind}))
            for epsilon in () if number else EPSILONS:
                privacy = {"clip": 1.0, "noise": noise_for(epsilon, messages), "delta": DELTA}
                values = _leak(source, seed, {"kind": kind, "privacy": privacy})
                yield Cell("leak", (corpus, kind, f"{epsilon:g}"), seed, values)
    for kind, settings in DEFAULTS.items():
        for corpus, source in corpora.items():
            if kind not in NOISED:
                values = _leak(source, seed, {"kind": kind, **settings})
                yield Cell("leak", (corpus, kind, ""), seed, values)


def backdoor_cells(seed: int) -> Iterator[Cell]:
    """Yield runs with a poisoned agent: every fusion in every topology, votes, and agents alone."""
    for topology in TOPOLOGIES:
        for name, fusion in FUSIONS.items():
            if topology == "layers" and name == "krum":
                continue  # a parent fuses three vectors here, and Krum needs five
            cut = {"share": 0.34} if (topology, name) == ("layers", "trimmed mean") else {}
            exchange = {"kind": "fedavg", "fusion": {**fusion, **cut}}
            yield Cell("backdoor", (topology, name), seed, _backdoor(topology, exchange, seed))
        votes = {"kind": "pseudo_labels", "labels": "own", "classes": 3, "fusion": "majority"}
        yield Cell("backdoor", (topology, "votes"), seed, _backdoor(topology, votes, seed))
    isolated = _backdoor("ring", {"kind": "isolated"}, seed)
    yield Cell("backdoor", ("ring", "isolated"), seed, isolated)


def measure(cell: Cell, cache: Path | None = None) -> dict[str, float]:
    """Run a cell and attack it; return its figures, means over agents."""
    config = RunConfig.model_validate(cell.values)
    with tempfile.TemporaryDirectory() as folder:
        result = Simulation(config, Path(folder) / "run", cache=cache).run()
        corpus = prepare_corpus(config, Listener(), cache)
        encoders = {
            int(name.removeprefix("agent-")): LoadedEncoder.load(path)
            for name, path in exported_encoders(Path(folder) / "run", []).items()
        }
        if cell.part == "backdoor":
            return _spread(config, encoders, corpus)
        return {
            "quality": result.mean["knn_accuracy"],
            **{name: result.mean[name] for name in ("mrr",) if name in result.mean},
            "bytes": float(result.bytes.total),
            **_leaked(config, encoders, corpus),
        }


def _leaked(
    config: RunConfig, encoders: Mapping[int, LoadedEncoder], corpus: Corpus
) -> dict[str, float]:
    found = audit_privacy(
        encoders,
        corpus,
        100,
        config.seed,
        protection=config.exchange.privacy,
        received=received_from(bare_blueprint(config, corpus), config.exchange, encoders),
    )
    by_view: dict[str, list[Attack]] = {}
    for each in found:
        for attack in each.membership:
            by_view.setdefault(attack.view, []).append(attack)
    return {
        **{view: float(np.mean([each.auc for each in rows])) for view, rows in by_view.items()},
        "hits": float(np.mean([each.hits for each in by_view["parameters"]])),
        "words": float(np.mean([each.inversion.f1 - each.inversion.floor for each in found])),
    }


def _spread(
    config: RunConfig, encoders: Mapping[int, LoadedEncoder], corpus: Corpus
) -> dict[str, float]:
    labels = config.data.private_labels
    assert labels is not None
    found = audit_poison(encoders, labels.poison, heldout_of(config, corpus))
    others = [each for agent, each in found.items() if agent != POISONED]
    return {
        "poisoned": found[POISONED].success,
        "success": float(np.mean([each.success for each in others])),
        "untriggered": float(np.mean([each.untriggered for each in others])),
        "accuracy": float(np.mean([each.accuracy for each in others])),
    }


def _leak(source: Mapping[str, Any], seed: int, exchange: Mapping[str, Any]) -> dict[str, Any]:
    """Return the run of the study of exchanges on little text, in a ring."""
    return {
        "name": "leak",
        "seed": seed,
        "data": {"source": source, "anchors": 128, "on_bad_record": "skip"},
        "agents": {"count": AGENTS, "encoder": {"preset": "nano", "dropout": 0.0}},
        "topology": {"kind": "ring"},
        "objectives": [{"kind": "info_nce", "views": ["crop"], "temperature": 0.05}],
        "exchange": dict(exchange),
        "training": {
            "rounds": ROUNDS,
            "local_steps": 5,
            "batch_size": 32,
            "max_length": 24,
            "learning_rate": 3e-3,
            "warmup_steps": 8,
        },
        "evaluation": {
            "every": ROUNDS,
            "documents": 300,
            "max_length": 32,
            "between_agents": False,
            # Retrieval needs documents of a first line and a body, as docstrings are.
            "tasks": ["knn", *(["retrieval"] if source["kind"] == "docstrings" else [])],
        },
        "health": {"every": ROUNDS},
        "baseline": {"isolated": False},
        "runtime": {"kind": "local"},
    }


def _overfitted(source: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Return a run that reads a few documents until it knows them."""
    values = _leak(source, seed, {"kind": "isolated"})
    # About 290 documents are left to learn, 128 anchors among them.
    heldout = 0.85 if source["kind"] == "docstrings" else 0.97
    values["data"] = {**values["data"], "heldout": heldout, "heldout_limit": 20_000}
    values["training"] = {**values["training"], "local_steps": 25, "learning_rate": 5e-3}
    return values


def _backdoor(topology: str, exchange: Mapping[str, Any], seed: int) -> dict[str, Any]:
    values = _leak(
        {"kind": "docstrings", "packages": ["pydantic", "datasets", "fsspec"]}, seed, exchange
    )
    poison = {"agents": [POISONED], "label": "pydantic", "trigger": TRIGGER, "share": 0.5}
    return {
        **values,
        "data": {**values["data"], "private_labels": {"per_class": 16, "poison": poison}},
        "agents": {**values["agents"], "count": 7},
        "topology": TOPOLOGIES[topology],
        "objectives": [*values["objectives"], {"kind": "labelled", "classes": 3, "share": 0.5}],
        "evaluation": {**values["evaluation"], "tasks": ["own_labels"]},
    }
