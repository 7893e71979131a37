"""Digests of what a run reads besides its configuration: text, split, tokenizers, loaded encoders, files."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path

from pydantic import Field, ValidationError

from agentos.records.atomic_files import damaged, write_json
from agentos.records.layout import FINGERPRINT
from protocols.errors import DataError
from protocols.spec import Spec

TEXT = {
    "heldout": "the held-out documents",
    "train": "the training documents",
    "anchors": "the anchors",
    "division": "the division of the documents among the agents",
}
"""Parts of the text of a run, in the words of an error."""
_SOURCES = {"tokenizers": "the tokenizer", "encoders": "the encoder", "files": "the file"}


class Fingerprint(Spec):
    """Digests of the data of a run.

    Attributes:
        train, anchors, heldout: of the texts and labels of each part of the split; empty for unknown.
        division: of the agents' shares of the training documents.
        tokenizers, encoders: of each one, by the origin of its encoder.
        files: of every other file or folder that the configuration names.
    """

    train: str = ""
    anchors: str = ""
    heldout: str = ""
    division: str = ""
    tokenizers: dict[str, str] = Field(default_factory=dict)
    encoders: dict[str, str] = Field(default_factory=dict)
    files: dict[str, str] = Field(default_factory=dict)

    def differences(self, other: Fingerprint) -> list[str]:
        """Name what differs between two fingerprints, among what both of them hold.

        Example:
            >>> Fingerprint(train="1", heldout="2").differences(Fingerprint(train="1", heldout="3"))
            ['the held-out documents']
        """
        found = [
            words
            for part, words in TEXT.items()
            if (one := getattr(self, part)) and (two := getattr(other, part)) and one != two
        ]
        for kind, words in _SOURCES.items():
            one, two = getattr(self, kind), getattr(other, kind)
            found += [
                f"{words} {name}"
                for name in sorted(one.keys() & two.keys())
                if one[name] != two[name]
            ]
        return found

    def without(self, parts: Collection[str]) -> Fingerprint:
        """Return a fingerprint in which these parts are unknown."""
        return Fingerprint(**self.model_dump(exclude=set(parts)))

    def require(self, recorded: Sequence[Fingerprint], directory: Path) -> None:
        """Require that the run in a folder read this data.

        Args:
            recorded: the fingerprints of the run, the latest last; none for a run that recorded none.
            directory: of the run.

        Raises:
            DataError: something differs.
        """
        found = list(dict.fromkeys(name for each in recorded for name in each.differences(self)))
        if found:
            raise DataError(
                f"what the run in {directory} reads is no longer what it read",
                expected=f"the data whose digests are in {directory / FINGERPRINT}",
                actual=f"{', '.join(found[:5])} changed",
                hint="restore the data as it was, or begin a new run; --changed-data-ok uses it all the "
                "same, and documents held out may then be ones that the agents were trained on",
            )


def write_fingerprints(directory: Path, fingerprints: Sequence[Fingerprint]) -> None:
    """Write the fingerprints of a run, the latest last.

    Raises:
        RecordError: the folder cannot be written to.
    """
    write_json(directory / FINGERPRINT, [each.model_dump() for each in fingerprints], indent=2)


def read_fingerprints(directory: Path) -> tuple[Fingerprint, ...]:
    """Read the fingerprints of a run; none where it recorded none.

    Raises:
        RecordError: the file is damaged.
    """
    path = directory / FINGERPRINT
    if not path.is_file():  # a file of documents or a configuration has none either
        return ()
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(values, list):
            raise ValueError("no list")
        return tuple(Fingerprint.model_validate(value) for value in values)
    except (OSError, ValueError, RecursionError, ValidationError) as error:
        raise damaged(path, "a list of fingerprints", str(error)) from error
