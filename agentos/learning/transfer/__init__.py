"""Transfer: a new agent, of any size, starts from what a run or a life has learnt."""

from agentos.learning.transfer.newcomer import Transfer, transfer

__all__ = ["Transfer", "transfer"]
