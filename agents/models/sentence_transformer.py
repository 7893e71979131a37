"""Files that tell sentence-transformers how a saved encoder cuts, pools and scales texts.

They are read whole or refused: an encoder embeds as ``SentenceTransformer(folder).encode`` does, or a
`ModelError` names the module or setting that has no counterpart here.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers.utils.hub import cached_file

from agents.config import EncoderConfig
from agents.models.text_encoder import EmbeddingMap
from protocols.errors import ModelError

logger = logging.getLogger(__name__)

POOLING = "1_Pooling"
MODES = {
    "mean": "pooling_mode_mean_tokens",
    "cls": "pooling_mode_cls_token",
    "last": "pooling_mode_lasttoken",
}
OTHER_MODES = (
    "pooling_mode_max_tokens",
    "pooling_mode_mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens",
)
MAPS = {"centered": "2_Centering", "whitened": "2_Whitening"}
"""Folders of the Dense module of an exported encoder, by the map of embeddings that it holds."""
DENSE = {"bias": True, "activation_function": "torch.nn.modules.linear.Identity"}
"""Settings of that module, besides its sizes."""
_ARCHITECTURES = ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
_TRANSFORMER_FILES = tuple(f"sentence_{name}_config.json" for name in _ARCHITECTURES)
"""Settings of the Transformer module; early releases named the file after the architecture."""
_WITHOUT_EFFECT = {"unpad_inputs", "query_length", "document_length"}
"""Settings that change no embedding, or those of explicit queries and documents alone."""
_DEFAULTS = {
    "transformer_task": "feature-extraction",
    "module_output_name": "token_embeddings",
}
_TEXT = {"method": "forward", "method_output_name": "last_hidden_state"}


@dataclass(frozen=True)
class SavedSettings:
    """Settings of an encoder in its sentence-transformers files.

    Attributes:
        listed: whether ``modules.json`` lists the modules; without it the others are mostly unset.
        pooling: name of the pooling; None if unset.
        max_length: tokens of a text, special tokens included; None if unset.
        lower_case: whether texts are lower-cased before they are tokenised.
        normalised: whether embeddings are scaled to length 1.
        map: key of `MAPS` if a run exported the encoder with a map of embeddings; see `stored_map`.
    """

    listed: bool = False
    pooling: str | None = None
    max_length: int | None = None
    lower_case: bool = False
    normalised: bool = False
    map: str | None = None


def pooling_of(config: EncoderConfig) -> str:
    """Return an encoder's pooling: the configured one, else that of its folder, else ``mean``.

    Raises:
        ModelError: the folder's pooling is not supported, and none is configured.
    """
    saved = read_settings(config).pooling
    if config.pooling is None:
        if saved is not None and saved not in MODES:
            raise ModelError(
                f"the encoder in {config.origin!r} was saved with the pooling {saved!r}",
                expected=", ".join(MODES),
                actual=saved,
                hint="set encoder.pooling to the closest of these",
            )
        return saved or "mean"
    if saved is not None and saved != config.pooling:
        logger.warning(
            "encoder.pooling is %s, but the encoder in %s was saved with %s",
            config.pooling,
            config.origin,
            saved,
        )
    return config.pooling


def read_settings(config: EncoderConfig) -> SavedSettings:
    """Read the settings of an encoder; the defaults for one built from scratch.

    Raises:
        ModelError: a file is damaged, or says something that has no counterpart here.
    """
    if config.from_scratch:
        return SavedSettings()
    modules = _read(config, "modules.json")
    if modules is None:
        pooling = _pooling(_settings(config, f"{POOLING}/config.json"))
        return SavedSettings(False, pooling, *_transformer(config))
    modules, map = _without_map(modules)
    folder, normalised = _modules(config, modules)
    _check_defaults(config)
    pooling = _pooling(_settings(config, f"{folder}/config.json")) or "mean"
    return SavedSettings(True, pooling, *_transformer(config), normalised, map)


def stored_map(config: EncoderConfig, name: str, width: int) -> EmbeddingMap:
    """Read the map of embeddings that a run exported with an encoder.

    Args:
        config: the encoder.
        name: key of `MAPS`, as in `SavedSettings.map`.
        width: of the encoder.

    Raises:
        ModelError: a file is missing or damaged, or says something else than an affine map.
    """
    folder = MAPS[name]
    settings = _settings(config, f"{folder}/config.json")
    for key, value in settings.items():
        if key not in ("in_features", "out_features") and value != DENSE.get(key):
            raise _unsupported(config, f"{key} of {folder}", str(DENSE.get(key)), value)
    path = _path(config, f"{folder}/model.safetensors")
    try:
        found = load_file(path) if path is not None else {}
        weight, bias = (found[f"linear.{part}"].numpy() for part in ("weight", "bias"))
        # A mean has the width of the encoder; whitening may be narrower.
        if weight.shape != (len(bias), width) or not np.isfinite(weight).all():
            raise ValueError(f"a weight of shape {list(weight.shape)}")
        if bias.ndim != 1 or not np.isfinite(bias).all():
            raise ValueError(f"a bias of shape {list(bias.shape)}")
    except (OSError, KeyError, ValueError, TypeError, SafetensorError) as error:
        raise ModelError(
            f"the {folder} of the encoder {config.origin!r} is damaged",
            expected=f"linear.weight [K, {width}] and linear.bias [K], finite",
            actual=str(error),
            hint="export the encoder again",
        ) from error
    identity = name == "centered" and np.array_equal(weight, np.eye(width))
    return EmbeddingMap(None if identity else weight.astype(np.float32), bias.astype(np.float32))


def _without_map(modules: Any) -> tuple[Any, str | None]:
    """Return the modules but the map of embeddings that a run exported, and its name if there is one."""
    last = modules[-1] if isinstance(modules, list) and len(modules) == 3 else None
    if isinstance(last, dict) and last.get("type") == "sentence_transformers.models.Dense":
        for name, folder in MAPS.items():
            if last.get("path") == folder:
                return modules[:-1], name
    return modules, None


def _modules(config: EncoderConfig, modules: Any) -> tuple[str, bool]:
    """Return the folder of the pooling, and whether the embeddings are normalised."""
    if not isinstance(modules, list) or not all(isinstance(each, dict) for each in modules):
        raise _unsupported(config, "modules.json", "a list of modules", type(modules).__name__)
    names = [str(each.get("type")) for each in modules]
    kinds = [name.rpartition(".")[2] for name in names]
    supported = "Transformer, Pooling and at most Normalize, of sentence_transformers"
    known = ["Transformer", "Pooling", "Normalize"]
    for index, name in enumerate(names):
        own = name.startswith("sentence_transformers.")
        if not own or known[index : index + 1] != [kinds[index]]:
            raise _unsupported(config, f"module {index}", supported, name)
    if len(kinds) < 2:
        raise _unsupported(config, "modules.json", supported, ", ".join(names) or "no module")
    paths = [PurePosixPath(str(each.get("path") or "")) for each in modules]
    if paths[0].parts:
        hint = f"set encoder.path to {config.origin}/{paths[0]}, and encoder.pooling"
        raise _unsupported(config, "module 0 (Transformer)", "path ''", str(paths[0]), hint)
    if not paths[1].parts or paths[1].is_absolute() or ".." in paths[1].parts:
        raise _unsupported(config, "module 1 (Pooling)", "a folder within", str(paths[1]))
    normalised = len(kinds) == 3
    scaled = _settings(config, f"{paths[2]}/config.json") if normalised else {}
    for key, value in scaled.items():
        if value not in (None, "sentence_embedding"):
            raise _unsupported(config, f"module 2 (Normalize), {key}", "sentence_embedding", value)
    return str(paths[1]), normalised


def _transformer(config: EncoderConfig) -> tuple[int | None, bool]:
    """Return the maximum length and whether texts are lower-cased, as the Transformer module says."""
    found = (_settings(config, name) for name in _TRANSFORMER_FILES)
    settings = dict(next((each for each in found if each), {}))
    length, lower = settings.pop("max_seq_length", None), settings.pop("do_lower_case", False)
    if length is not None and (type(length) is not int or length < 1):
        raise _unsupported(config, "max_seq_length", "a number of tokens", length)
    text = (settings.pop("modality_config", None) or {"text": _TEXT}).get("text")
    if text != _TEXT:
        raise _unsupported(config, "modality_config of the Transformer", _TEXT, text)
    for key, value in settings.items():
        if value and key not in _WITHOUT_EFFECT and value != _DEFAULTS.get(key):
            expected = _DEFAULTS.get(key, "unset")
            raise _unsupported(config, f"{key} of the Transformer", expected, value)
    return length, bool(lower)


def _check_defaults(config: EncoderConfig) -> None:
    """Refuse a model of another type, one that shortens embeddings, and one with a default prompt."""
    settings = _settings(config, "config_sentence_transformers.json")
    kind, width = settings.get("model_type"), settings.get("truncate_dim")
    if kind not in (None, "SentenceTransformer"):
        raise _unsupported(config, "model_type", "SentenceTransformer", kind)
    if width is not None:
        raise _unsupported(config, "truncate_dim", "unset", width)
    name = settings.get("default_prompt_name")
    prompts = settings.get("prompts") or {}
    prompt = prompts.get(name) if isinstance(prompts, dict) else prompts
    if name is not None and prompt:
        raise ModelError(
            f"the encoder {config.origin!r} puts a default prompt before every text",
            expected="default_prompt_name null in config_sentence_transformers.json",
            actual=f"{name}: {prompt!r}",
            hint="set it to null there to embed texts without the prompt",
        )


def _pooling(settings: Mapping[str, Any]) -> str | None:
    """Return the pooling that a module sets; None if unset."""
    mode = settings.get("pooling_mode")  # since the library's fifth major version
    if mode is not None:
        modes = [mode] if isinstance(mode, str) else mode if isinstance(mode, Sequence) else [mode]
        return " and ".join({"lasttoken": "last"}.get(str(each), str(each)) for each in modes)
    named = {key: name for name, key in MODES.items()} | {key: key for key in OTHER_MODES}
    return " and ".join(name for key, name in named.items() if settings.get(key)) or None


def _unsupported(
    config: EncoderConfig, what: str, expected: object, actual: object, hint: str | None = None
) -> ModelError:
    return ModelError(
        f"the encoder {config.origin!r} cannot embed as its sentence-transformers files say: {what}",
        expected=str(expected),
        actual=str(actual),
        hint=hint
        or "to use its transformer alone, load a copy of the folder without modules.json and "
        "sentence_bert_config.json, and set encoder.pooling",
    )


def _settings(config: EncoderConfig, name: str) -> Mapping[str, Any]:
    value = _read(config, name)
    if value is not None and not isinstance(value, dict):
        raise _unsupported(config, name, "a JSON object", type(value).__name__)
    return value or {}


def _read(config: EncoderConfig, name: str) -> Any:
    """Return the content of a JSON file of an encoder; None if it has no such file."""
    path = _path(config, name)
    if path is None:
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(
            f"{str(path)!r} is damaged",
            expected="JSON",
            actual=str(error),
            hint="copy it again from the source of the encoder, or remove it",
        ) from error


def _path(config: EncoderConfig, name: str) -> Path | None:
    path = Path(config.path) / name if config.path else _cached(config.origin, name)
    return path if path is not None and path.is_file() else None


@lru_cache(maxsize=256)
def _cached(origin: str, name: str) -> Path | None:
    """Return a file of an encoder in the Hugging Face cache, fetched if need be; None if there is none."""
    folder, _, file = name.rpartition("/")
    try:
        found = cached_file(
            origin,
            file,
            subfolder=folder,
            _raise_exceptions_for_gated_repo=False,
            _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_connection_errors=False,
        )
    except OSError:  # no such model: loading it says so
        return None
    return None if found is None else Path(found)
