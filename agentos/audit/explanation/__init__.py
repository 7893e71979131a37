"""Explain an embedding, a class or a similarity by the words of a text, and check the explanation."""

from agentos.audit.explanation.neighbours import Neighbour, nearest
from agentos.audit.explanation.word_explanation import Explanation, explain

__all__ = ["Explanation", "Neighbour", "explain", "nearest"]
