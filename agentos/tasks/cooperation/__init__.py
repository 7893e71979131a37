"""Architectures: how the agents of a panel answer queries together."""

from __future__ import annotations

from agentos.tasks.cooperation.base import Architecture, Evidence, Outcome
from agentos.tasks.cooperation.cascade import Cascade
from agentos.tasks.cooperation.consensus import Peers
from agentos.tasks.cooperation.conversation import NOT_ASKED, SILENT
from agentos.tasks.cooperation.fan_out import MasterSlave
from agentos.tasks.cooperation.panel import Embedded, Member, Panel, Queries
from agentos.tasks.cooperation.single import Single
from agentos.tasks.cooperation.traffic import Setting

__all__ = [
    "NOT_ASKED",
    "SILENT",
    "Architecture",
    "Cascade",
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
