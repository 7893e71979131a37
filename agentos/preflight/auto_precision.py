"""The precision of a run, where its configuration leaves the choice to the machine."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from agentos.runtime.host_calls import ChoosePrecision

if TYPE_CHECKING:
    from agentos.config.run import RunConfig
    from agentos.runtime import Session
    from agents.training.blueprint import Blueprint

logger = logging.getLogger(__name__)


def settle(
    config: RunConfig, session: Session, blueprint: Blueprint
) -> tuple[RunConfig, dict[str, Any]]:
    """Return the configuration with the precision that pays, and what was measured for it.

    From then on it names the precision as if it had been asked for, and all hosts are built with it: whoever
    repeats the run from its folder, or resumes it, gets the same numbers on any machine.

    Args:
        config: of the run; one that names a precision comes back as it is.
        session: hosts that are up; the first one measures.
        blueprint: of its agents.
    """
    from agents.training.blueprint import Arm

    if config.training.precision != "auto":
        return config, {}
    host, exchange = session.hosts[0], config.exchange
    measuring = ChoosePrecision(Arm(exchange, exchange.anchor_fraction))
    chosen, seconds = session.call({host: measuring})[host]
    logger.info("precision %s; seconds of a step: %s", chosen, seconds)
    training = config.training.model_copy(update={"precision": chosen})
    session.build(replace(blueprint, training=training))
    told = ", ".join(f"{name} {1000 * taken:.1f} ms" for name, taken in seconds.items())
    measured = {"precision": f"{chosen}, chosen by auto: a step takes {told}"}
    return config.model_copy(update={"training": training}), measured
