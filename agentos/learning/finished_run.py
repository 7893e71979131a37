"""A finished run as the beginning of a life: its encoders go on learning, under its configuration.

Its encoders have read text before. What of the stream that was is measured, and stands in the records of the
life: a test on text that an encoder was pretrained on, without labels, is no test on new text.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agentos.config.load import load
from agentos.config.run import RunConfig
from agentos.data.corpus import prepare
from agentos.data.sources.files import digest
from agentos.events import Listener
from agentos.records.atomic_files import require_inside
from agentos.records.identity.digests import of_encoders, of_text
from agentos.records.identity.fingerprint import read_fingerprints
from agentos.records.layout import CONFIG
from agentos.records.saved_encoders import find_encoder
from protocols.errors import ConfigurationError

_SAVED = ("preset", "name", "path", "pooling", "lora")
"""Fields of an encoder that its saved folder decides: adapters are merged into what is saved."""


def is_run(begin: str) -> bool:
    """Return whether the beginning of a life is a folder, and so that of a run."""
    return Path(begin).is_dir()


def values_of(run: Path, changed: Sequence[str]) -> dict[str, Any]:
    """Return the plain configuration of a finished run, its agents with the encoders that it saved.

    Args:
        run: the run folder.
        changed: dotted paths of the fields that the life changes.

    Raises:
        ConfigurationError: it is no run folder, has saved no encoders, or its agents are to be changed.
        RecordError: it holds a link that leads out of it.
    """
    agents = sorted(path for path in changed if path.split(".")[0] == "agents")
    if agents:
        raise ConfigurationError(
            "the agents of a life that begins from a run are those of the run",
            expected="no field of agents in `set`",
            actual=", ".join(agents),
            hint="leave it out, or begin from a configuration in place of a run",
        )
    if not (run / CONFIG).is_file():
        raise ConfigurationError(
            f"{run} is not the folder of a run",
            expected=f"a folder that holds {CONFIG}, a configuration, or a ready-made name",
            actual=f"a folder without {CONFIG}",
            hint="name a folder that 'agentos run' wrote",
        )
    require_inside(run)
    before = load(str(run / CONFIG))
    encoders = before.society().encoders
    groups = []
    for agent, encoder in enumerate(encoders):
        kept = encoder.model_dump(mode="json", exclude=set(_SAVED), exclude_defaults=True)
        path = find_encoder(run, agent).absolute()
        groups.append({"count": 1, "encoder": {**kept, "path": str(path)}})
    return {**before.resolved(), "agents": {"groups": groups}}


def encoder_digests(config: RunConfig) -> list[str]:
    """Return a digest of the saved encoder of each agent, which does not depend on its folder."""
    found = of_encoders(config.society().encoders).encoders
    return [found[encoder.origin] for encoder in config.society().encoders]


def read_before(
    run: Path, texts: Sequence[str], listener: Listener, cache: Path | None
) -> np.ndarray:
    """Return which texts the agents of a run have read in training, `[N]` bool.

    Args:
        run: the run folder.
        texts: the texts of the stream.
        listener: told what is under way.
        cache: folder for prepared text.

    Raises:
        DataError: the text of the run is no longer what it read, so that this cannot be told.
    """
    listener.on_stage("Comparing the stream with what the run has read")
    before = load(str(run / CONFIG))
    corpus = prepare(before.data, agents=before.agents.total, seed=before.seed, cache=cache)
    of_text(corpus).require(read_fingerprints(run), run)
    rows = np.union1d(corpus.train, corpus.anchors)
    known = {digest(text) for text in corpus.texts(rows)}
    return np.array([digest(text) in known for text in texts], bool)
