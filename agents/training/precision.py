"""Choice of the faster precision on a machine, by timing a few training steps in each."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import torch

from agents.training.agent import Agent
from agents.training.blueprint import Arm, Blueprint
from agents.training.shared_model import SharedModel

CHOICES: tuple[Literal["fp32", "bf16"], ...] = ("fp32", "bf16")
STEPS, REPEATS = 3, 3
WORTH = 1.1
"""Speed-up that bf16 must reach to be chosen: it is less exact."""


def step_seconds(blueprint: Blueprint, arm: Arm, device: torch.device) -> dict[str, float]:
    """Return the seconds of a training step in each precision, the minimum of a few measurements.

    One agent of each group of the blueprint takes the steps; it is built for that, and discarded.
    """
    first = {member.group: member for member in reversed(blueprint.members)}
    agents: dict[str, list[Agent]] = {}
    for precision in CHOICES:
        changed = {"precision": precision, "local_steps": STEPS, "accumulate": 1}
        training = blueprint.training.model_copy(update=changed)
        short = replace(blueprint, training=training)
        agents[precision] = [
            Agent(member, SharedModel(short, short.groups[group], device), arm)
            for group, member in sorted(first.items())
        ]
        for agent in agents[precision]:
            agent.begin()
    seconds: dict[str, list[float]] = {precision: [] for precision in CHOICES}
    for _ in range(1 + REPEATS):  # the first step includes one-time set-up, and is dropped
        for precision in CHOICES:
            began = time.perf_counter()
            for agent in agents[precision]:
                agent.train(arm, 1)
            seconds[precision].append((time.perf_counter() - began) / STEPS / len(first))
    return {precision: min(taken[1:]) for precision, taken in seconds.items()}


def worthwhile(seconds: Mapping[str, float]) -> Literal["fp32", "bf16"]:
    """Return bf16 if it is enough faster, else fp32.

    Example:
        >>> worthwhile({"fp32": 0.30, "bf16": 0.20}), worthwhile({"fp32": 0.30, "bf16": 0.29})
        ('bf16', 'fp32')
    """
    return "bf16" if seconds["fp32"] >= WORTH * seconds["bf16"] else "fp32"
