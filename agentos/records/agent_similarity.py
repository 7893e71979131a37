"""What the agents of a run make of the same public texts: embeddings, and how alike they are.

Two files of the run folder: ``embeddings.safetensors`` holds, for each arm and agent, ``[N, D]``
float32 under ``arm/agent-3``; ``similarity.json`` holds the texts' beginnings, their groups, the
matrices between agents, and what evaluation tasks have for pictures.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from agentos.records.atomic_files import plain, replacing
from agentos.records.reports import by_agent
from protocols.errors import RecordError
from protocols.seeding import derive, generator

if TYPE_CHECKING:
    from agentos.config.run import RunConfig
    from agentos.data.corpus import Corpus
    from agentos.runtime import Session

EMBEDDINGS = "embeddings.safetensors"
SIMILARITY = "similarity.json"
MAX_TEXTS, MAX_AGENTS = 256, 24
CLUSTERS = 8
BEGINNING = 80

Embeddings = dict[int, NDArray[np.float32]]


@dataclass(frozen=True)
class Sample:
    """Texts that every agent embeds, and the agents that are asked.

    Attributes:
        texts: at most 256.
        groups: of each text: the index of its label, or of its cluster, in `names`.
        names: of the groups.
        labelled: whether groups are labels; else they are clusters of words.
        source: ``anchors``, or ``held-out documents`` where there are no anchors.
        available: texts that there were.
        agents: at most 24.
    """

    texts: tuple[str, ...]
    groups: tuple[int, ...]
    names: tuple[str, ...]
    labelled: bool
    source: str
    available: int
    agents: tuple[int, ...]


@dataclass(frozen=True)
class AgentSimilarity:
    """What a run folder says about what is between its agents.

    Attributes:
        sample: the texts, cut to their beginnings, and the agents.
        matrices: arm -> measure -> `[A, A]`, agents as in the sample.
        explained: arm -> agent -> kind of evaluation task -> plain values for a picture.
        embeddings: arm -> agent -> `[N, D]`.
    """

    sample: Sample
    matrices: dict[str, dict[str, list[list[float]]]]
    explained: dict[str, dict[int, dict[str, Any]]]
    embeddings: dict[str, Embeddings]


def draw_sample(config: RunConfig, corpus: Corpus) -> Sample:
    """Draw the texts that the agents of a run are compared on, and the agents."""
    from agentos.data.features import cluster

    source = "anchors" if len(corpus.anchors) else "held-out documents"
    rows = corpus.anchors if len(corpus.anchors) else corpus.heldout
    drawn = generator(config.seed, "between agents").permutation(len(rows))[:MAX_TEXTS]
    chosen = rows[np.sort(drawn)]
    texts = tuple(corpus.texts(chosen))
    if corpus.has_labels:
        labels = [str(label) for label in corpus.labels(chosen)]
        names = tuple(sorted({*labels}))
        groups = tuple(names.index(label) for label in labels)
    else:
        count = min(CLUSTERS, len(texts))
        seed = derive(config.seed, "between agents", "clusters") % 2**32
        groups = tuple(int(code) for code in cluster(texts, count, seed))
        names = tuple(f"cluster {i + 1}" for i in range(count))
    total = config.agents.total
    spread = np.linspace(0, total - 1, min(total, MAX_AGENTS)).round().astype(int)
    return Sample(
        texts, groups, names, corpus.has_labels, source, len(rows), tuple(map(int, spread))
    )


class SimilarityRecorder:
    """Asks the agents at the end of an arm, and writes what they said.

    Args:
        directory: the run folder.
        sample: of the run.
    """

    def __init__(self, directory: Path, sample: Sample) -> None:
        self.directory = directory
        self.sample = sample
        # What a run that goes on has told of its earlier arm.
        known = load_agent_similarity(directory)
        self._embeddings: dict[str, Embeddings] = known.embeddings if known else {}
        self._told: dict[str, Any] = {
            "matrices": known.matrices if known else {},
            "explained": known.explained if known else {},
        }

    def record(self, arm: str, session: Session) -> None:
        """Gather the embeddings of an arm's agents, measure them against each other, and write.

        Raises:
            RecordError: the folder cannot be written to.
        """
        agents: dict[int, tuple[int, ...]] = {}
        for agent in self.sample.agents:
            host = session.placement[agent]
            agents[host] = (*agents.get(host, ()), agent)
        texts = self.sample.texts
        found = session.call("embed_texts", {host: (texts, ids) for host, ids in agents.items()})
        explained = session.call("explain", {host: (ids,) for host, ids in agents.items()})
        self._embeddings[arm] = by_agent(found)
        self._told["matrices"][arm] = measure(self._embeddings[arm])
        self._told["explained"][arm] = by_agent(explained)
        self._write()

    def _write(self) -> None:
        from safetensors.numpy import save

        cut = tuple(" ".join(text.split())[:BEGINNING] for text in self.sample.texts)
        sample = asdict(self.sample) | {"texts": cut}
        with replacing(self.directory / EMBEDDINGS) as path:
            rows = {
                f"{arm}/agent-{agent}": np.ascontiguousarray(values)
                for arm, agents in self._embeddings.items()
                for agent, values in agents.items()
            }
            path.write_bytes(save(rows))
        with replacing(self.directory / SIMILARITY) as path:
            told = json.dumps(plain({"sample": sample, **self._told}), allow_nan=False)
            path.write_text(told + "\n", encoding="utf-8", newline="\n")


def measure(embeddings: Embeddings) -> dict[str, list[list[float]]]:
    """Return every measure between all agents, `[A, A]`, on one thread."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    from agentos.evaluation.similarity import MEASURES, pairwise

    rows = list(embeddings.values())
    with threadpool_limits(limits=1):
        return {name: pairwise(rows, m.function).tolist() for name, m in MEASURES.items()}


def load_agent_similarity(directory: Path) -> AgentSimilarity | None:
    """Read what a run folder says about what is between its agents; None where it says nothing.

    Raises:
        RecordError: one of the two files is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    told, held = directory / SIMILARITY, directory / EMBEDDINGS
    if not (told.exists() and held.exists()):
        return None
    try:
        values = json.loads(told.read_text(encoding="utf-8"))
        sample: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in values["sample"].items()
        }
        embeddings: dict[str, Embeddings] = {}
        for name, rows in load_file(held).items():
            arm, _, agent = name.partition("/agent-")
            embeddings.setdefault(arm, {})[int(agent)] = rows
        explained = {
            arm: {int(agent): kinds for agent, kinds in agents.items()}
            for arm, agents in values["explained"].items()
        }
        ordered = {arm: dict(sorted(rows.items())) for arm, rows in embeddings.items()}
        return AgentSimilarity(Sample(**sample), values["matrices"], explained, ordered)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError) as error:
        raise RecordError(
            f"The record {told} or {held.name} is damaged",
            expected="what a run writes with evaluation.between_agents",
            actual=f"{type(error).__name__} {error}",
            hint="restore the files from a copy, remove both, or run again",
        ) from error
