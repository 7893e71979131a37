"""The joint embedding as a module of sentence-transformers: unit embeddings of several encoders side by side.

This file is copied into each exported folder and stands alone there: it imports nothing of AgentOS.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.models import InputModule

SETTINGS = "joint.json"


class JointEmbedding(InputModule):  # type: ignore[misc]
    """Embeds a text with every member, scales each embedding to its length, and puts them side by side.

    Args:
        members: encoders, each a whole model with its own tokenizer.
        names: folder of each.
        scales: length of each member's part; their squares sum to 1.
    """

    def __init__(
        self, members: Sequence[SentenceTransformer], names: Sequence[str], scales: Sequence[float]
    ) -> None:
        super().__init__()
        self.members: Any = torch.nn.ModuleList(members)
        self.names = list(names)
        self.scales = list(scales)

    @property
    def tokenizer(self) -> Any:
        """The tokenizer of the first member; every member uses its own."""
        return self.members[0].tokenizer

    @property
    def max_seq_length(self) -> int | None:
        """Tokens that every member reads at most."""
        lengths = [member.max_seq_length for member in self.members]
        return None if None in lengths else min(lengths)

    def preprocess(self, inputs: Any, prompt: str | None = None, **_: Any) -> dict[str, Any]:
        """Tokenise texts for each member, under the member's number."""
        texts = [str(text) if prompt is None else prompt + str(text) for text in inputs]
        features: dict[str, Any] = {}
        for number, member in enumerate(self.members):
            prepare = getattr(member, "preprocess", None) or member.tokenize
            found = prepare(texts)
            features.update({f"{number}/{name}": value for name, value in found.items()})
        return features

    def tokenize(self, texts: Any, **options: Any) -> dict[str, Any]:
        """Tokenise texts; the name of `preprocess` before version 6 of sentence-transformers."""
        return self.preprocess(texts, **options)

    def forward(self, features: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Add ``sentence_embedding``, ``[texts, sum of the widths]``."""
        parts = []
        for number, (member, scale) in enumerate(zip(self.members, self.scales, strict=True)):
            start = f"{number}/"
            own = {k[len(start) :]: v for k, v in features.items() if k.startswith(start)}
            embedded = member(own)["sentence_embedding"].double()
            parts.append(scale * torch.nn.functional.normalize(embedded, dim=-1, eps=1e-30))
        features["sentence_embedding"] = torch.cat(parts, dim=-1).float()
        return features

    def get_embedding_dimension(self) -> int:
        """Return the sum of the widths."""
        return sum(map(_width, self.members))

    def get_sentence_embedding_dimension(self) -> int:
        """Return the sum of the widths; its name before version 6 of sentence-transformers."""
        return self.get_embedding_dimension()

    def save(self, output_path: str, *_: Any, **__: Any) -> None:
        """Write every member and the settings into a folder."""
        for name, member in zip(self.names, self.members, strict=True):
            member.save(str(Path(output_path) / name), create_model_card=False)
        settings = {"members": self.names, "scales": self.scales}
        (Path(output_path) / SETTINGS).write_text(json.dumps(settings, indent=2) + "\n", "utf-8")

    @classmethod
    def load(
        cls,
        model_name_or_path: str,
        subfolder: str = "",
        token: bool | str | None = None,
        cache_folder: str | None = None,
        revision: str | None = None,
        local_files_only: bool = False,
        **_: Any,
    ) -> JointEmbedding:
        """Load every member from its folder; none of them runs code of its own."""
        found = cls.load_dir_path(
            model_name_or_path,
            subfolder=subfolder,
            token=token,
            cache_folder=cache_folder,
            revision=revision,
            local_files_only=local_files_only,
        )
        folder = Path(found)
        settings = json.loads((folder / SETTINGS).read_text("utf-8"))
        names = [Path(name).name for name in settings["members"]]
        members = [SentenceTransformer(str(folder / name), device="cpu") for name in names]
        return cls(members, names, settings["scales"])


def _width(member: Any) -> int:
    get = getattr(member, "get_embedding_dimension", None)
    width = get() if get else member.get_sentence_embedding_dimension()
    return int(width)
