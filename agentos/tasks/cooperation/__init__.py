"""Architectures: how the agents of a panel answer queries together."""

from __future__ import annotations

from agentos.tasks.cooperation.base import Architecture, Evidence, Outcome
from agentos.tasks.cooperation.cascade import Cascade
from agentos.tasks.cooperation.consensus import Peers
from agentos.tasks.cooperation.distilled import Distilled
from agentos.tasks.cooperation.divided import Divided
from agentos.tasks.cooperation.fan_out import MasterSlave
from agentos.tasks.cooperation.panel import Embedded, Member, Panel, Queries
from agentos.tasks.cooperation.setting import NOT_ASKED, SILENT, Setting
from agentos.tasks.cooperation.single import Single

__all__ = [
    "NOT_ASKED",
    "SILENT",
    "Architecture",
    "Cascade",
    "Distilled",
    "Divided",
    "Embedded",
    "Evidence",
    "MasterSlave",
    "Member",
    "Outcome",
    "Panel",
    "Peers",
    "Queries",
    "Setting",
    "Single",
]
