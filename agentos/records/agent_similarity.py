"""Embeddings of the same public texts by all agents of a run, and how similar they are.

Two files of the run folder: ``embeddings.safetensors`` holds, for each arm and agent, ``[N, D]``
float32 under ``arm/agent-3``; ``similarity.json`` holds the beginnings of the texts, their groups, the
similarities between agents, and the data of pictures that evaluation tasks provide.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from agentos.data.corpus import Corpus
from agentos.data.text_clusters import cluster
from agentos.evaluation.similarity import MEASURES, pairwise
from agentos.records.atomic_files import replacing, write_json
from agentos.records.layout import EMBEDDINGS, SIMILARITY, agent_name
from protocols.errors import RecordError
from protocols.seeding import derive, generator

if TYPE_CHECKING:
    from agentos.data.corpus import Corpus

MAX_TEXTS, MAX_AGENTS = 256, 24
CLUSTERS = 8
BEGINNING = 80

Embeddings = dict[int, NDArray[np.float32]]


@dataclass(frozen=True)
class Sample:
    """Texts that every agent embeds, and the agents that are compared.

    Attributes:
        texts: at most 256.
        groups: for each text the index of its label, or of its cluster, in `names`.
        names: names of the groups.
        labelled: whether groups are labels; otherwise they are clusters of words.
        source: ``anchors``, or ``held-out documents`` where there are no anchors.
        available: number of texts that the sample was drawn from.
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
    """The similarity of the agents at the end of a run.

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


def draw_sample(corpus: Corpus, agents: int, seed: int) -> Sample:
    """Draw the texts that the agents of a run are compared on, and the agents.

    Args:
        corpus: of the run; anchors are preferred to held-out documents.
        agents: number of agents in the run.
        seed: of the run.
    """
    source = "anchors" if len(corpus.anchors) else "held-out documents"
    rows = corpus.anchors if len(corpus.anchors) else corpus.heldout
    drawn = generator(seed, "between agents").permutation(len(rows))[:MAX_TEXTS]
    chosen = rows[np.sort(drawn)]
    texts = tuple(corpus.texts(chosen))
    if corpus.has_labels:
        labels = [str(label) for label in corpus.labels(chosen)]
        names = tuple(sorted({*labels}))
        groups = tuple(names.index(label) for label in labels)
    else:
        count = min(CLUSTERS, len(texts))
        words_seed = derive(seed, "between agents", "clusters") % 2**32
        groups = tuple(int(code) for code in cluster(texts, count, words_seed))
        names = tuple(f"cluster {i + 1}" for i in range(count))
    spread = np.linspace(0, agents - 1, min(agents, MAX_AGENTS)).round().astype(int)
    return Sample(
        texts, groups, names, corpus.has_labels, source, len(rows), tuple(map(int, spread))
    )


class SimilarityRecorder:
    """Compares the agents at the end of an arm, and writes their embeddings and similarities.

    Args:
        directory: the run folder.
        sample: the texts and agents of the run.
    """

    def __init__(self, directory: Path, sample: Sample) -> None:
        self.directory = directory
        self.sample = sample
        # A resumed run keeps what it wrote of an arm that had finished.
        known = load_agent_similarity(directory)
        self._embeddings: dict[str, Embeddings] = known.embeddings if known else {}
        self._values: dict[str, Any] = {
            "matrices": known.matrices if known else {},
            "explained": known.explained if known else {},
        }

    def record(
        self, arm: str, embeddings: Embeddings, explained: dict[int, dict[str, Any]]
    ) -> None:
        """Measure the embeddings of an arm's agents against each other, and write.

        Args:
            arm: of the run.
            embeddings: of the sample's texts by its agents.
            explained: what the last evaluation of each has for pictures.

        Raises:
            RecordError: the folder cannot be written to.
        """
        self._embeddings[arm] = embeddings
        self._values["matrices"][arm] = measure(embeddings)
        self._values["explained"][arm] = explained
        self._write()

    def _write(self) -> None:
        cut = tuple(" ".join(text.split())[:BEGINNING] for text in self.sample.texts)
        sample = asdict(self.sample) | {"texts": cut}
        with replacing(self.directory / EMBEDDINGS) as path:
            rows = {
                f"{arm}/{agent_name(agent)}": np.ascontiguousarray(values)
                for arm, agents in self._embeddings.items()
                for agent, values in agents.items()
            }
            path.write_bytes(save(rows))
        write_json(self.directory / SIMILARITY, {"sample": sample, **self._values})


def measure(embeddings: Embeddings) -> dict[str, list[list[float]]]:
    """Return every measure between all agents, `[A, A]`, on one thread: sums must not depend on cores."""
    rows = list(embeddings.values())
    with threadpool_limits(limits=1):
        return {name: pairwise(rows, m.function).tolist() for name, m in MEASURES.items()}


def load_agent_similarity(directory: Path) -> AgentSimilarity | None:
    """Read the similarity of a run's agents; None where it was not recorded.

    Raises:
        RecordError: one of the two files is damaged.
    """
    path, arrays = directory / SIMILARITY, directory / EMBEDDINGS
    if not (path.exists() and arrays.exists()):
        return None
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        sample: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in values["sample"].items()
        }
        embeddings: dict[str, Embeddings] = {}
        for name, rows in load_file(arrays).items():
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
            f"The record {path} or {arrays.name} is damaged",
            expected="the two files that a run with evaluation.between_agents writes",
            actual=f"{type(error).__name__} {error}",
            hint="restore the files from a copy, remove both, or run again",
        ) from error
