"""The precision of a run, where its configuration leaves the choice to the machine."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

from agentos.runtime import Session
from agentos.runtime.host_calls import ChoosePrecision
from agents.training.blueprint import Arm, Blueprint
from agents.training.config import TrainingConfig

logger = logging.getLogger(__name__)


def choose_precision(
    session: Session, blueprint: Blueprint, arm: Arm
) -> tuple[TrainingConfig, dict[str, Any]]:
    """Return the training section with the precision that pays, and the measurements behind it.

    From then on it names the precision as if it had been configured, and all hosts are built with it: a run
    that is repeated from its folder, or resumed, gets the same numbers on any machine.

    Args:
        session: hosts that are up; the first one measures.
        blueprint: of their agents; where it names a precision, nothing is measured.
        arm: under which the agents train.
    """
    training = blueprint.training
    if training.precision != "auto":
        return training, {}
    host = session.hosts[0]
    chosen, seconds = session.call({host: ChoosePrecision(arm)})[host]
    logger.info("precision %s; seconds of a step: %s", chosen, seconds)
    training = training.model_copy(update={"precision": chosen})
    session.build(replace(blueprint, training=training))
    times = ", ".join(f"{name} {1000 * taken:.1f} ms" for name, taken in seconds.items())
    return training, {"precision": f"{chosen}, chosen by auto: a step takes {times}"}
