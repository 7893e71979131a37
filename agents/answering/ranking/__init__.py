"""Searches over spread documents, their merge and fusion, and the sentences that summarise a text."""

from __future__ import annotations

from agents.answering.ranking.extractive_summary import summarise
from agents.answering.ranking.rank_fusion import fuse_ranks
from agents.answering.ranking.search import Ranking, merge, search

__all__ = ["Ranking", "fuse_ranks", "merge", "search", "summarise"]
