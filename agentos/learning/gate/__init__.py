"""The gate of updates: exact tests on examples that no earlier decision has used."""

from agentos.learning.gate.budget import ExamplePool
from agentos.learning.gate.decision import Evidence, Gate, Verdict
from agentos.learning.gate.review import review

__all__ = ["Evidence", "ExamplePool", "Gate", "Verdict", "review"]
