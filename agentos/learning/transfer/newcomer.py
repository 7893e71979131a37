"""Transfer: a new agent, of any size, starts from what a society has learnt."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from agentos.config.field_errors import InvalidConfiguration, explain
from agentos.config.load import apply_overrides
from agentos.config.run import RunConfig
from agentos.data.store.cache import default_cache
from agentos.evaluation.base import Metric
from agentos.evaluation.loaded_encoder import LoadedEncoder
from agentos.events import Listener
from agentos.learning.transfer.elder_society import society_of
from agentos.records.atomic_files import replacing, writing
from agentos.simulation.simulation import Simulation
from agents.exchange.anchors.elders import Elders
from agents.knowledge.frames import unit
from protocols.errors import ConfigurationError

SHARE = 0.25
"""Share of an elder's steps that a new agent takes."""
ANCHORS, WEIGHT = 0.25, 1.0
"""Share of anchors in each batch of the new agent, and the weight of what elders teach about them."""
DROPPED: dict[str, Any] = {
    "topology": "ring",
    "faults": [],
    "clock": None,
    "policy": {},
    "baseline": {},
}
"""Sections of a run that a lone agent has no use for."""


@dataclass(frozen=True)
class Transfer:
    """The accuracy of a new agent, of its elders and of one that starts from scratch.

    Attributes:
        metrics: what was measured.
        elders: mean of the elders, by metric.
        taught: the new agent.
        scratch: the same agent on the same text, without elders.
        elder_tokens: tokens that an elder has trained on, in the mean.
        taught_tokens, scratch_tokens: tokens that the new agents have trained on.
        directory: run folder of the new agent.
    """

    metrics: tuple[Metric, ...]
    elders: Mapping[str, float]
    taught: Mapping[str, float]
    scratch: Mapping[str, float]
    elder_tokens: float
    taught_tokens: int
    scratch_tokens: int
    directory: Path

    @property
    def token_share(self) -> float:
        """Return the tokens of the new agent, relative to those of an elder."""
        return self.taught_tokens / self.elder_tokens if self.elder_tokens else float("nan")


def transfer(
    run: Path,
    overrides: Sequence[str] = (),
    out: Path | None = None,
    share: float = SHARE,
    listener: Listener | None = None,
    cache: Path | None = None,
) -> Transfer:
    """Train a new agent on what a society knows about its anchors, and one without, and compare.

    Args:
        run: folder of a finished run or of a life, whose encoders are the elders.
        overrides: ``key.path=value`` each; ``encoder.preset=small`` is about the new agent's encoder.
        out: folder of the new agent's run; a new one under ``runs/`` by default.
        share: steps of the new agent, relative to those of an elder.
        listener: receives the events of the run.
        cache: folder for prepared text.

    Raises:
        ConfigurationError: there are no anchors or saved encoders, or the overrides do not fit.
        RecordError: the folder is damaged.
        DataError: the text cannot be read, or is not what it was.

    Example:
        >>> found = transfer(Path("runs/ring"), ["encoder.preset=small"])  # doctest: +SKIP
        >>> found.token_share, found.taught, found.scratch  # doctest: +SKIP
    """
    listener = listener or Listener()
    elders = society_of(run, listener, cache)
    before, corpus = elders.config, elders.corpus
    if len(corpus.anchors) < 4:
        raise ConfigurationError(
            f"the society in {run} has no public anchors, about which elders could teach",
            expected="data.anchors of 4 or more",
            actual=len(corpus.anchors),
            hint="let it learn with data.anchors, 256 for instance",
        )
    listener.on_stage("Asking the elders")
    taught = similarities_of(elders.encoders, corpus.texts(corpus.anchors))
    file = keep(taught, (cache or default_cache()) / "elders")
    config = newcomer(before, overrides, share, file, elders.rounds)
    own = corpus if elders.is_life else None
    simulation = Simulation(config, out, listener=listener, cache=cache, corpus=own)
    result = simulation.run()
    if result.isolated is None:
        raise ConfigurationError(
            "there is nothing to compare the new agent with",
            expected="baseline.isolated: true",
            hint="leave baseline.isolated as it is",
        )
    return Transfer(
        metrics=tuple(config.evaluation.metrics),
        elders=elders.measured(config.evaluation.tasks),
        taught=result.mean,
        scratch=result.isolated.mean,
        elder_tokens=elders.tokens,
        taught_tokens=result.tokens,
        scratch_tokens=result.isolated.tokens,
        directory=simulation.directory,
    )


def newcomer(
    before: RunConfig, overrides: Sequence[str], share: float, file: Path, rounds: int
) -> RunConfig:
    """Return the run of one agent that learns from elders, on text as theirs.

    Args:
        before: their run.
        overrides: ``key.path=value`` each.
        share: steps of the new agent, relative to those of an elder.
        file: what they found about the anchors.
        rounds: rounds that they have taken.

    Raises:
        ConfigurationError: an override does not fit.
    """
    if not 0.0 < share <= 1.0:
        raise ConfigurationError(
            "share is not a share", expected="more than 0, at most 1", actual=share, hint="try 0.25"
        )
    raw: dict[str, Any] = {**before.resolved(), **DROPPED, "name": f"{before.name}-newcomer"}
    encoder = before.agents.resolved[0].encoder.model_dump(mode="json", exclude_unset=True)
    raw["agents"] = {"count": 1, "encoder": encoder}
    raw["data"] = {**raw["data"], "partition": "iid"}
    raw["evaluation"] = {**raw["evaluation"], "joint": None, "between_agents": False}
    rounds, steps = _rounds(share, rounds, before.training.local_steps)
    raw["training"] = {**raw["training"], "rounds": rounds, "local_steps": steps}
    named = [f"agents.{each}" if each.startswith("encoder.") else each for each in overrides]
    raw = apply_overrides(raw, named)
    raw["exchange"] = Elders(file=str(file), anchor_share=ANCHORS, weight=WEIGHT)
    try:
        return RunConfig.model_validate(raw)
    except ValidationError as error:
        raise InvalidConfiguration(before.name, explain(error, RunConfig)) from error


def _rounds(share: float, rounds: int, local_steps: int) -> tuple[int, int]:
    """Return rounds and steps in each that make at most a share of the elders' steps."""
    steps = int(share * rounds * local_steps)
    taken = max(1, int(np.ceil(steps / local_steps)))
    return taken, max(1, steps // taken)


def similarities_of(
    elders: Sequence[Path], texts: Sequence[str], temperature: float = 0.1
) -> NDArray[np.float32]:
    """Return the mean over elders of ``softmax(cos / temperature)`` between texts, the diagonal masked."""
    total = np.zeros((len(texts), len(texts)))
    for elder in elders:
        embedded = LoadedEncoder.load(str(elder)).plain.embed(texts)
        points = unit(embedded).astype(np.float64)
        scores = points @ points.T / temperature
        np.fill_diagonal(scores, -np.inf)
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        total += powers / powers.sum(axis=1, keepdims=True)
    return (total / len(elders)).astype(np.float32)


def keep(values: NDArray[np.float32], folder: Path) -> Path:
    """Write an array into a folder, under a digest of its content; return the file."""
    whole = io.BytesIO()
    np.save(whole, values, allow_pickle=False)
    data = whole.getvalue()
    path = folder / f"{hashlib.blake2b(data, digest_size=16).hexdigest()}.npy"
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with replacing(path) as draft:
        draft.write_bytes(data)
    return path
