"""A small society that trains in a second, on hosts that are started once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from agentos import RunConfig
from agentos.runtime.base import Runtime, Session
from agentos.runtime.ray import RayRuntime
from agents.blueprint import Blueprint

TOPICS = {
    "sea": "wave tide ship harbour salt anchor fish net storm sail deck coast gull reef crew",
    "farm": "field wheat plough barn horse hay seed harvest cow fence mill soil orchard hen cart",
    "town": "street tram market clock bridge tower lamp square shop crowd school bell roof door sign",
    "sky": "cloud star moon wind comet orbit planet dawn light rain thunder kite meteor frost sun",
}


def write_corpus(path: Path, per_topic: int = 60) -> Path:
    """Write labelled documents with a first line and a body, one topic's words in each."""
    rng = np.random.default_rng(5)
    with path.open("w", encoding="utf-8") as stream:
        for number in range(per_topic * len(TOPICS)):
            label = sorted(TOPICS)[number % len(TOPICS)]
            words = rng.choice(TOPICS[label].split(), size=30)
            title = " ".join(words[:6])
            text = f"{title} {number}\n\n{' '.join(words[6:])} the {number} of a"
            stream.write(json.dumps({"text": text, "label": label}) + "\n")
    return path


@pytest.fixture(scope="session")
def corpus_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A JSON lines file of 240 short labelled documents."""
    return write_corpus(tmp_path_factory.mktemp("corpus") / "corpus.jsonl")


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of prepared text that the session's runs share."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def small(corpus_file: Path) -> Callable[..., RunConfig]:
    """Make the configuration of a run that takes about a second."""

    def make(**changes: Any) -> RunConfig:
        values: dict[str, Any] = {
            "name": "small",
            "data": {
                "source": {"kind": "jsonl", "path": str(corpus_file), "label": "label"},
                "partition": {"kind": "dirichlet", "alpha": 1.0},
                "anchors": 32,
                "heldout": 0.25,
                "tokenizer": {"vocabulary_size": 400},
            },
            "agents": {"count": 4, "encoder": {"preset": "nano"}},
            "training": {
                "rounds": 2,
                "local_steps": 2,
                "batch_size": 12,
                "max_length": 16,
                "warmup_steps": 2,
            },
            "evaluation": {"every": 2, "tasks": ["retrieval", "probe"], "documents": 40},
            "runtime": "local",
        }
        return RunConfig.model_validate({**values, **changes})

    return make


class Warm(Runtime):
    """A runtime whose hosts stay up from one run to the next."""

    kind: Literal["warm"] = "warm"
    name: str

    def start(self, blueprint: Blueprint, address: str | None = None) -> Session:
        session = SESSIONS[self.name]
        session.build(blueprint)
        return _StaysOpen(session)


class _StaysOpen(Session):
    def __init__(self, session: Session) -> None:
        self._session = session
        self.placement = session.placement

    def build(self, blueprint: Blueprint) -> None:
        self._session.build(blueprint)

    def call(self, method: str, arguments: Any) -> dict[int, Any]:
        return self._session.call(method, arguments)

    def close(self) -> None:
        pass


SESSIONS: dict[str, Session] = {}


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """Ray, started once for all tests; four cores are pretended, to hold every layout at once."""
    import ray

    ray.init(
        address="local",
        num_cpus=8,
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=200 * 2**20,
    )
    yield
    ray.shutdown()


@pytest.fixture(scope="session")
def warm(ray_cluster: None) -> Iterator[Callable[[str], Runtime]]:
    """Runtimes over hosts that are started once: one host, two, or one for each of four agents."""
    layouts = {"one": {"hosts": 1}, "two": {"hosts": 2}, "each": {"agents_per_host": 1}}

    def make(name: str) -> Runtime:
        if name not in SESSIONS:
            SESSIONS[name] = RayRuntime(**layouts[name]).open(agents=4)
        return Warm(name=name)

    yield make
    while SESSIONS:
        SESSIONS.popitem()[1].close()
