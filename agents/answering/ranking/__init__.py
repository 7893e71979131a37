"""Searches over spread documents, their merge and fusion, and the sentences that summarise a text."""

from __future__ import annotations

from agents.answering.ranking.extractive_summary import summarise
from agents.answering.ranking.rank_fusion import fuse_ranks
from agents.answering.ranking.search import Ranking, merge, search
from agents.answering.ranking.standard_scores import fuse_scores, standardised

__all__ = ["Ranking", "fuse_ranks", "fuse_scores", "merge", "search", "standardised", "summarise"]
