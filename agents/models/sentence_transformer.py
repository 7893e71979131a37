"""Files that tell sentence-transformers how a saved encoder pools and cuts texts."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from agents.config import EncoderConfig
from protocols.errors import ModelError

logger = logging.getLogger(__name__)

POOLING = Path("1_Pooling") / "config.json"
_MODES = {
    "mean": "pooling_mode_mean_tokens",
    "cls": "pooling_mode_cls_token",
    "last": "pooling_mode_lasttoken",
}
_OTHER_MODES = (
    "pooling_mode_max_tokens",
    "pooling_mode_mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens",
)


def write_sentence_transformer(
    directory: Path, *, pooling: str, width: int, max_length: int
) -> None:
    """Write the files with which ``SentenceTransformer(directory)`` embeds as the agent does.

    The keys are those of the library's second major version, which later versions read as well.

    Args:
        directory: holds the model and its tokenizer already.
        pooling: ``mean``, ``cls`` or ``last``.
        width: of the backbone.
        max_length: tokens of a text when it is embedded, special tokens included.
    """
    modules = [("", "Transformer"), ("1_Pooling", "Pooling")]
    _write(
        directory / "modules.json",
        [
            {
                "idx": index,
                "name": str(index),
                "path": path,
                "type": f"sentence_transformers.models.{name}",
            }
            for index, (path, name) in enumerate(modules)
        ],
    )
    modes = {key: name == pooling for name, key in _MODES.items()}
    _write(
        directory / POOLING,
        {"word_embedding_dimension": width, **modes, **dict.fromkeys(_OTHER_MODES, False)},
    )
    length = {"max_seq_length": max_length, "do_lower_case": False}
    _write(directory / "sentence_bert_config.json", length)
    _write(
        directory / "config_sentence_transformers.json",
        {"prompts": {}, "default_prompt_name": None, "similarity_fn_name": "cosine"},
    )


def pooling_of(config: EncoderConfig) -> str:
    """Return an encoder's pooling: the configured one, else that of its folder, else ``mean``.

    Raises:
        ModelError: the folder's pooling is not supported, and none is configured.
    """
    saved = _saved_pooling(Path(config.path)) if config.path else None
    if config.pooling is None:
        if saved is not None and saved not in _MODES:
            raise ModelError(
                f"the encoder in {config.path!r} was saved with the pooling {saved!r}",
                expected=", ".join(_MODES),
                actual=saved,
                hint="set encoder.pooling to the closest of these",
            )
        return saved or "mean"
    if saved is not None and saved != config.pooling:
        logger.warning(
            "encoder.pooling is %s, but the encoder in %s was saved with %s",
            config.pooling,
            config.path,
            saved,
        )
    return config.pooling


def saved_length(directory: Path) -> int | None:
    """Return the maximum length in tokens that a folder sets for sentence-transformers; None if unset."""
    length = _read(directory / "sentence_bert_config.json").get("max_seq_length")
    return length if isinstance(length, int) else None


def _saved_pooling(directory: Path) -> str | None:
    """Return the pooling that a folder sets for sentence-transformers; None if unset."""
    config = _read(directory / POOLING)
    mode = config.get("pooling_mode")  # since the library's fifth major version
    if isinstance(mode, str):
        return {"lasttoken": "last"}.get(mode, mode)
    named = {key: name for name, key in _MODES.items()} | {key: key for key in _OTHER_MODES}
    found = [name for key, name in named.items() if config.get(key)]
    return " and ".join(found) or None


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(
            f"{str(path)!r} is damaged",
            expected="a JSON object",
            actual=str(error),
            hint="copy it again from the source of the encoder, or remove it",
        ) from error
    return value if isinstance(value, dict) else {}


def _write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8", newline="\n")
