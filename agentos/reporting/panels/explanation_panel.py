"""The explained held-out texts of a report, from what was recorded."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, ValidationError

from agentos.records.atomic_files import damaged, require_file
from agentos.records.layout import EXPLANATIONS
from protocols.spec import Spec


class ExplainedText(Spec):
    """A text in pieces, each with its contribution as a share of the largest, and its nearest anchors."""

    target: str
    score: float
    pieces: tuple[tuple[str, float], ...] = Field(max_length=10_000)
    trust: str
    near: tuple[tuple[float, str], ...] = Field(max_length=100)


class ExplainedTexts(Spec):
    """The texts that one agent's encoder was explained on; none where nothing was recorded."""

    agent: int = 0
    texts: tuple[ExplainedText, ...] = Field((), max_length=100)


def explained_texts(directory: Path) -> ExplainedTexts:
    """Read the record of a run.

    Raises:
        RecordError: it is damaged.
    """
    path = directory / EXPLANATIONS
    require_file(path)
    if not path.exists():
        return ExplainedTexts()
    try:
        return ExplainedTexts.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise damaged(path, "explained texts", str(error).splitlines()[0]) from error
