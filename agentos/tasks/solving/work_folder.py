"""The folder of a piece of work: its files, and the configuration that it is of."""

from __future__ import annotations

from pathlib import Path

from agentos.data.yaml_values import dump
from agentos.records.atomic_files import replacing
from agentos.records.layout import CONFIG
from agentos.tasks.config import Work
from protocols.errors import RecordError
from protocols.spec import written

ANSWERS, RESULTS, EMBEDDINGS = "answers.parquet", "results.json", "embeddings"


def claim(directory: Path, config: Work) -> None:
    """Take a folder that is new, or holds work under the same configuration.

    Raises:
        RecordError: it holds something else.
    """
    text = dump(written(config))
    path = directory / CONFIG
    if path.is_file():
        if path.read_text(encoding="utf-8") == text:
            return
        raise RecordError(
            f"{directory} holds other work",
            expected="a new folder, or one of the same configuration",
            actual=f"another {CONFIG}",
            hint="give another folder in --out, or remove this one",
        )
    if directory.is_dir() and any(directory.iterdir()):
        raise RecordError(
            f"{directory} is not empty, and no task wrote it",
            expected="a new folder",
            hint="give another folder in --out",
        )
    directory.mkdir(parents=True, exist_ok=True)
    with replacing(path) as draft:
        draft.write_text(text, encoding="utf-8")
