"""Made-up run folders, written through the recorder, for the tests of reports and comparisons."""

from __future__ import annotations

import numpy as np
import pytest
import yaml

from agentos.evaluation import Geometry, Retrieval
from agentos.records.metrics_log import MetricsLog
from agentos.records.recorder import Recorder
from agentos.records.result import Quality
from protocols.ledger import Ledger
from protocols.topologies import TOPOLOGIES

METRICS = (*Retrieval.metrics, *Geometry.metrics)
LIBRARIES = ["numpy", "torch", "pandas", "networkx", "scikit-learn", "transformers", "scipy"]


def quality(generator, progress, offset):
    return {
        "mrr": 0.05 + offset + 0.4 * progress + generator.normal(0, 0.01),
        "recall_at_10": min(1.0, 0.12 + 1.2 * offset + 0.6 * progress + generator.normal(0, 0.01)),
        "alignment": 0.9 - 0.5 * progress - offset + generator.normal(0, 0.02),
        "uniformity": -1.0 - 2.4 * progress + generator.normal(0, 0.03),
        "rankme": 12 + 60 * progress + generator.normal(0, 1.5),
    }


def write_arm(log, seed, agents, rounds, bonus, every=2, ledger=None, network=None):
    """Write the rounds of one arm; return its first and its last evaluation."""
    generator = np.random.default_rng(seed)
    evaluated = {}
    for round in range(rounds + 1):
        progress = 1 - np.exp(-3 * round / 8)
        if ledger is not None and round:
            for hop in network.hops(round):
                for sender, receiver in hop.edges:
                    ledger.record(round, hop.index, sender, receiver, "embeddings", 131_072)
                    if round == 1:
                        ledger.record(round, hop.index, sender, receiver, "weights", 200_000)
        rows = []
        for agent in range(agents):
            row = {"agent": agent}
            if round:
                loss = 3.2 * np.exp(-0.3 * round) + 0.1 * np.sin(agent) + generator.normal(0, 0.03)
                row |= {"loss": loss, "tokens": 102_400, "train_s": 1.5, "rejected": 0}
                sent, received = ledger.for_round(round).get(agent, (0, 0)) if ledger else (0, 0)
                row |= {"bytes_sent": sent, "bytes_received": received}
            if round % every == 0 or round == rounds:
                offset = 0.02 * np.cos(agent) + bonus * progress
                values = quality(generator, progress * (1 - 0.02 * (agent % 5)), offset)
                evaluated.setdefault(round, {})[f"agent-{agent}"] = values
                row |= values
            rows.append(row)
        log.round(round, rows)
    return evaluated[0], evaluated[max(evaluated)]


def write_run(
    directory,
    *,
    name="six-readers",
    topology=None,
    exchange="anchor_contrast",
    agents=6,
    rounds=8,
    seed=0,
    bonus=0.03,
    baseline=True,
    status="finished",
    names=None,
    rejected=0,
    summary=True,
):
    """Write a run folder that looks like a real one."""
    topology = topology or {"kind": "ring", "hops": 1}
    built = TOPOLOGIES[topology["kind"]].model_validate(topology)
    network = built.build(agents=agents, seed=seed)
    names = names or [LIBRARIES[i % 7] if agents < 8 else f"agent-{i}" for i in range(agents)]
    config = {
        "name": name,
        "seed": seed,
        "topology": topology,
        "exchange": {"kind": exchange, "weight": 1.0},
        "training": {"rounds": 8, "local_steps": 50, "batch_size": 64},
    }
    with Recorder(directory) as recorder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(MetricsLog, "_mirror", lambda *_: None)  # TensorBoard: slow, and not read
        recorder.start(yaml.safe_dump(config, sort_keys=False), network, names, METRICS)
        ledger = Ledger()
        before, after = write_arm(recorder, seed, agents, rounds, bonus, 2, ledger, network)
        if rejected:
            recorder.round(rounds, [{"agent": 1, "rejected": rejected}])
        whole = {
            "name": name,
            "seed": seed,
            "status": status,
            "rounds": rounds,
            "steps": 50 * rounds,
            "wall_s": 143.2,
            "round_s": [17.5] * rounds,
            "tokens": 102_400 * rounds * agents,
            "bytes": {"total": ledger.total(), "by_kind": ledger.by_kind()},
            **Quality.of(after, METRICS).model_dump(),
            "before": Quality.of(before, METRICS).model_dump(),
        }
        if baseline:
            log = recorder.baseline()
            _, alone = write_arm(log, seed + 1, agents, rounds, 0.0)
            whole["isolated"] = {
                **Quality.of(alone, METRICS).model_dump(),
                "tokens": 102_400 * rounds * agents,
                "wall_s": 120.0,
            }
        recorder.ledger(ledger)
        if summary:
            recorder.summary(whole)
    return directory


@pytest.fixture(scope="session")
def make_run():
    """Return the function that writes a made-up run folder."""
    return write_run


@pytest.fixture(scope="session")
def ring_run(tmp_path_factory):
    """A finished run of six peers that gained from working together; do not write into it."""
    return write_run(tmp_path_factory.mktemp("runs") / "ring")
