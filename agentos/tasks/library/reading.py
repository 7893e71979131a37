"""Cards of models, read from run folders and from the folders of models."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import yaml

from agentos.data.yaml_text import parse_yaml
from agentos.evaluation.loaded_encoder import LoadedEncoder
from agentos.preflight.flops import Size, size_of
from agentos.records.layout import CONFIG, ENCODERS, agent_name, agent_number
from agentos.records.reader import RunRecord, config_value, load_run
from agentos.records.saved_encoders import find_encoder
from agentos.tasks.library.card import ModelCard
from agents.config import EncoderConfig
from agents.lazy_torch import nn, torch

_README = "README.md"
_FRONT = "---"
_MOST_BYTES = 1 << 16
"""Bytes of a model card's text that are read; what counts stands at its beginning."""


def read_cards(path: Path) -> list[ModelCard]:
    """Return a card for each agent of a run folder, or the card of a model's folder.

    Every model is loaded once, which shows that it can be used.

    Raises:
        ConfigurationError: the folder is neither, or the run has saved no encoders.
        RecordError: the run folder is damaged, or a link leads out of it.
        ModelError: a model cannot be used.
    """
    if not (path / CONFIG).is_file():
        folder = find_encoder(path)
        return [_card(folder, folder.resolve().name)]
    record = load_run(path)
    numbers = (agent_number(folder.name) for folder in (path / ENCODERS).glob("*"))
    agents = sorted(number for number in numbers if number is not None)
    if not agents:
        find_encoder(path)  # says what is missing
    return [_of_agent(record, agent) for agent in agents]


def _of_agent(record: RunRecord, agent: int) -> ModelCard:
    run, name = record.directory, agent_name(agent)
    card = _card(find_encoder(run, agent), f"{run.resolve().name}/{name}")
    measured = config_value(record.summary or {}, "agents", name) or {}
    language = config_value(record.config, "data", "cleaning", "language")
    return card.model_copy(
        update={
            "run": str(run),
            "agent": agent,
            "measured": {
                metric: float(value)
                for metric, value in measured.items()
                if metric in record.meanings and isinstance(value, (int, float))
            },
            "measured_on": _source(record.config) if measured else None,
            "languages": (str(language),) if language else card.languages,
        }
    )


def _source(config: dict[str, Any]) -> str:
    """Return the kind of a run's source, and the first thing that it names."""
    source = config_value(config, "data", "source")
    source = source if isinstance(source, dict) else {}
    named = next((source[key] for key in ("path", "name", "packages") if source.get(key)), "")
    shown = ", ".join(map(str, named)) if isinstance(named, list) else str(named)
    return f"{source.get('kind', 'unknown')} {shown}".strip()


def _card(folder: Path, name: str) -> ModelCard:
    loaded = LoadedEncoder.load(str(folder))
    backbone = loaded.encoder.backbone
    size = _size(folder)
    return ModelCard(
        name=name,
        path=str(folder),
        architecture=str(backbone.config.model_type),
        parameters=sum(parameter.numel() for parameter in backbone.parameters()),
        matrix_parameters=size.parameters,
        layers=size.layers,
        state_width=size.width,
        width=loaded.encoder.width,
        context=loaded.max_length,
        languages=_languages(folder / _README),
        origin=weights_digest(backbone),
    )


def _size(folder: Path) -> Size:
    return size_of(EncoderConfig(path=str(folder)))


def weights_digest(backbone: nn.Module) -> str:
    """Return a digest of a backbone's weights that does not depend on the files they came from.

    Values count in half precision, so that a copy which was saved in it has the digest of its original. The
    pooler is left out: no embedding depends on it, and files without one get random values for it.
    """
    digest = hashlib.blake2b(digest_size=16)
    for name, weights in sorted(backbone.named_parameters()):
        if not name.startswith("pooler."):
            digest.update(f"{name}\0{tuple(weights.shape)}\0".encode())
            values = weights.detach().cpu().to(torch.float16).contiguous()
            digest.update(values.numpy().astype("<f2").tobytes())
    return digest.hexdigest()


def _languages(readme: Path) -> tuple[str, ...]:
    """Return the languages that the head of a model card names; none where there is no such head."""
    try:
        with readme.open("rb") as file:
            text = file.read(_MOST_BYTES).decode("utf-8", "replace")
    except OSError:
        return ()
    before, _, rest = text.partition(f"{_FRONT}\n")
    head, ended, _ = rest.partition(f"\n{_FRONT}")
    if before or not ended:
        return ()
    try:
        named = config_value(parse_yaml(head), "language")
    except yaml.YAMLError:
        return ()
    found = named if isinstance(named, list) else [named]
    # YAML takes the code of Norwegian for a truth value.
    return tuple("no" if code is False else str(code)[:16] for code in found if code is not None)
