"""The precision of a run, where its configuration leaves the choice to the machine."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

from agentos.runtime import Session
from agentos.runtime.host_calls import ChoosePrecision
from agents.training.blueprint import Blueprint
from agents.training.config import TrainingConfig

logger = logging.getLogger(__name__)


def choose_precision(
    session: Session, blueprint: Blueprint
) -> tuple[TrainingConfig, dict[str, Any]]:
    """Return the training section with the precision that pays, and how it was chosen.

    From then on it names the precision as if it had been configured, and all hosts are built with it: a run
    that is repeated from its folder, or resumed, gets the same numbers on any machine.

    Args:
        session: hosts that are up; the first one decides.
        blueprint: blueprint of their agents; if it names a precision, that is taken.
    """
    training = blueprint.training
    if training.precision != "auto":
        return training, {}
    host = session.hosts[0]
    chosen = session.call({host: ChoosePrecision()})[host]
    logger.info("precision %s, chosen by auto", chosen)
    training = training.model_copy(update={"precision": chosen})
    if chosen != "fp32":  # as which the agents have been built
        session.build(replace(blueprint, training=training))
    return training, {"precision": f"{chosen}, chosen by auto"}
