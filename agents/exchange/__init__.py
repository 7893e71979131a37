"""Exchange strategies: one file each, and the table that names them."""

from agents.exchange.base import Exchange, Learner, Society, Turn
from agents.exchange.hybrid import Hybrid
from agents.exchange.registry import STRATEGIES

EXCHANGES: dict[str, type[Exchange]] = {**STRATEGIES, "hybrid": Hybrid}

__all__ = ["EXCHANGES", "Exchange", "Learner", "Society", "Turn"]
