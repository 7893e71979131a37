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
from agentos.config.load import apply_overrides, load
from agentos.config.run import RunConfig
from agentos.data.store.cache import default_cache
from agentos.evaluation.base import Metric
from agentos.evaluation.loaded_encoder import LoadedEncoder
from agentos.events import Listener
from agentos.records.atomic_files import replacing, writing
from agentos.records.layout import CONFIG, ENCODERS, agent_number
from agentos.records.reader import RunRecord, load_run
from agentos.records.saved_encoders import find_encoder
from agentos.simulation.preparation import prepare_corpus
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
    """Train a new agent on what a finished run knows about its anchors, and one without, and compare.

    Args:
        run: folder of the run, whose encoders are the elders.
        overrides: ``key.path=value`` each; ``encoder.preset=small`` is about the new agent's encoder.
        out: folder of the new agent's run; a new one under ``runs/`` by default.
        share: steps of the new agent, relative to those of an elder.
        listener: receives the events of the run.
        cache: folder for prepared text.

    Raises:
        ConfigurationError: the run has no anchors or saved no encoders, or the overrides do not fit.
        RecordError: the run folder is damaged.

    Example:
        >>> found = transfer(Path("runs/ring"), ["encoder.preset=small"])  # doctest: +SKIP
        >>> found.token_share, found.taught, found.scratch  # doctest: +SKIP
    """
    elders, tokens = _elders(load_run(run))
    before = load(str(run / CONFIG))
    listener = listener or Listener()
    corpus = prepare_corpus(before, listener, cache)
    if len(corpus.anchors) < 4:
        raise ConfigurationError(
            f"the run in {run} has no public anchors, about which elders could teach",
            expected="data.anchors of 4 or more",
            actual=len(corpus.anchors),
            hint="run the society with data.anchors, 256 for instance",
        )
    listener.on_stage("Asking the elders")
    taught = similarities_of(elders_of(run), corpus.texts(corpus.anchors))
    file = keep(taught, (cache or default_cache()) / "elders")
    simulation = Simulation(
        newcomer(before, overrides, share, file), out, listener=listener, cache=cache
    )
    result = simulation.run()
    if result.isolated is None:
        raise ConfigurationError(
            "there is nothing to compare the new agent with",
            expected="baseline.isolated: true",
            hint="leave baseline.isolated as it is",
        )
    metrics = before.evaluation.metrics
    return Transfer(
        metrics=tuple(metrics),
        elders=elders,
        taught=result.mean,
        scratch=result.isolated.mean,
        elder_tokens=tokens / before.agents.total,
        taught_tokens=result.tokens,
        scratch_tokens=result.isolated.tokens,
        directory=simulation.directory,
    )


def newcomer(before: RunConfig, overrides: Sequence[str], share: float, file: Path) -> RunConfig:
    """Return the run of one agent that learns from elders, on text as theirs.

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
    rounds, steps = _rounds(before, share)
    raw["training"] = {**raw["training"], "rounds": rounds, "local_steps": steps}
    named = [f"agents.{each}" if each.startswith("encoder.") else each for each in overrides]
    raw = apply_overrides(raw, named)
    raw["exchange"] = Elders(file=str(file), anchor_share=ANCHORS, weight=WEIGHT)
    try:
        return RunConfig.model_validate(raw)
    except ValidationError as error:
        raise InvalidConfiguration(before.name, explain(error, RunConfig)) from error


def _rounds(before: RunConfig, share: float) -> tuple[int, int]:
    """Return rounds and steps in each that make at most a share of the elders' steps."""
    steps = int(share * before.training.rounds * before.training.local_steps)
    rounds = max(1, int(np.ceil(steps / before.training.local_steps)))
    return rounds, max(1, steps // rounds)


def elders_of(run: Path) -> list[LoadedEncoder]:
    """Return every encoder that a run saved.

    Raises:
        ConfigurationError: it saved none.
    """
    find_encoder(run)  # says what is missing
    folders = (run / ENCODERS).glob("agent-*")
    numbers = sorted(n for n in (agent_number(f.name) for f in folders) if n is not None)
    return [LoadedEncoder.load(str(find_encoder(run, number))).plain for number in numbers]


def similarities_of(
    elders: Sequence[LoadedEncoder], texts: Sequence[str], temperature: float = 0.1
) -> NDArray[np.float32]:
    """Return the mean over elders of ``softmax(cos / temperature)`` between texts, the diagonal masked."""
    total = np.zeros((len(texts), len(texts)))
    for elder in elders:
        points = unit(elder.embed(texts)).astype(np.float64)
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


def _elders(record: RunRecord) -> tuple[dict[str, float], float]:
    """Return the elders' mean of each metric, and the tokens that one of them trained on.

    Raises:
        ConfigurationError: the run is not finished.
    """
    summary = record.summary or {}
    means, tokens = summary.get("mean"), summary.get("tokens")
    if not isinstance(means, dict) or not isinstance(tokens, int):
        raise ConfigurationError(
            f"the run in {record.directory} is not finished",
            expected="a summary with what its agents reached",
            hint="continue it with agentos resume",
        )
    return {str(name): float(value) for name, value in means.items()}, float(tokens)
