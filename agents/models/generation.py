"""Continuation of a prompt by greedy decoding, beam search or sampling, with transformers' `generate`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from agents.config import EncoderConfig, base_model_of
from agents.models.build import load_encoder
from agents.models.language_head import kind_of
from agents.models.pretrained import load_config, load_tokenizer, quietly
from agents.models.sentence_transformer import pooling_of
from agents.text.collate import Collator
from protocols.errors import ConfigurationError, ModelError
from protocols.seeding import derive


@dataclass(frozen=True)
class Decoding:
    """Choice of the next token: greedy, unless `beams` or `sample` is set.

    Attributes:
        max_new_tokens: maximum; the model may end a text earlier.
        beams: hypotheses that a beam search keeps; 1 for no beam search.
        sample: draw tokens by their probability.
        temperature: divides the logits when sampling; default 1.
        top_k: sample among this many most probable tokens; default: among all.
        top_p: sample among the fewest tokens that hold this much probability; default: among all.
        seed: seed for sampling; default 0.
        count: texts to return.

    Raises:
        ConfigurationError: a value is out of range, or the options contradict each other.
    """

    max_new_tokens: int = 40
    beams: int = 1
    sample: bool = False
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    seed: int | None = None
    count: int = 1

    def __post_init__(self) -> None:
        for name, low, high in (
            ("max_new_tokens", 1, None),
            ("beams", 1, None),
            ("count", 1, None),
            ("top_k", 1, None),
            ("temperature", 1e-3, None),
            ("top_p", 1e-6, 1.0),
        ):
            value = getattr(self, name)
            if value is not None and not low <= value <= (high or value):
                raise ConfigurationError(
                    f"{name} is out of range",
                    expected=f"at least {low}" + (f", at most {high}" if high else ""),
                    actual=value,
                )
        sampling = ("temperature", "top_k", "top_p", "seed")
        given = [name for name in sampling if getattr(self, name) is not None]
        if given and not self.sample:
            raise ConfigurationError(
                f"{' and '.join(given)} would have no effect without sampling",
                hint="turn sampling on (--sample)",
            )
        if self.count > self.beams and not self.sample:
            raise ConfigurationError(
                "without sampling there are at most as many texts as beams",
                expected=f"a count of at most {self.beams}",
                actual=self.count,
                hint="raise the number of beams (--beams), or turn sampling on (--sample)",
            )

    @property
    def options(self) -> dict[str, Any]:
        """Arguments of `generate`; all are set, so that no model's own defaults apply."""
        drawn = {
            "temperature": 1.0 if self.temperature is None else self.temperature,
            "top_k": self.top_k or 0,
            "top_p": 1.0 if self.top_p is None else self.top_p,
        }
        return {
            "max_new_tokens": self.max_new_tokens,
            "num_beams": self.beams,
            "num_return_sequences": self.count,
            "do_sample": self.sample,
            **(drawn if self.sample else {}),
        }


def generate(folder: Path, prompt: str, decoding: Decoding) -> list[str]:
    """Continue a prompt; the same arguments give the same texts.

    Args:
        folder: folder of a causal language model, such as an agent with the objective ``causal_lm`` saves.
        prompt: beginning of the texts; may be empty if a text begins with a special token.
        decoding: choice of the next tokens.

    Returns:
        `decoding.count` texts, the prompt included, special tokens left out.

    Raises:
        ModelError: the folder does not hold a causal language model.
        ConfigurationError: the prompt is empty or too long.
    """
    model, tokenizer = load_causal(folder)
    ids = _prompt_ids(prompt, tokenizer, model, decoding.max_new_tokens)
    with torch.random.fork_rng(devices=[]), torch.inference_mode(), quietly():
        torch.manual_seed(derive(decoding.seed or 0, "generate"))
        texts = model.generate(  # type: ignore[operator]
            input_ids=ids, attention_mask=torch.ones_like(ids), **decoding.options
        )
    decoded: list[str] = tokenizer.batch_decode(texts, skip_special_tokens=True)
    return decoded


def load_causal(folder: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a causal language model and its tokenizer.

    Raises:
        ModelError: the folder does not hold a causal language model.
    """
    config = EncoderConfig(path=str(folder))
    _require_causal(folder, config)
    tokenizer = load_tokenizer(config)
    return _load(config, tokenizer), tokenizer


def _load(config: EncoderConfig, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    """Load a causal language model; adapters are merged into their model."""
    model: PreTrainedModel
    if base_model_of(config) is None:
        with quietly():
            model = AutoModelForCausalLM.from_pretrained(
                config.origin,
                dtype=torch.float32,
                local_files_only=True,
                trust_remote_code=config.trust_remote_code,
            )
    else:
        encoder = load_encoder(config, tokenizer, pooling_of(config))
        assert encoder.language_head is not None
        model = encoder.language_head.attached(encoder.backbone)
    model.eval()
    return model


def _require_causal(folder: Path, encoder: EncoderConfig) -> None:
    try:
        config = load_config(encoder)
    except ModelError as error:
        raise ModelError(
            f"no model can be loaded from {folder}",
            expected=error.expected,
            actual=error.message,
            hint="give the folder of a run or of a saved agent",
        ) from error
    if kind_of(config) != "causal":
        raise ModelError(
            f"a {config.model_type} attends to both sides of a token, so it cannot continue a text",
            expected="a causal language model",
            actual=config.model_type,
            hint="train with a decoder preset, such as tiny-decoder, and the objective causal_lm",
        )
    if not any("LM" in name for name in config.architectures or ()):
        raise ModelError(
            f"the model in {folder} has no language-model head",
            expected="a causal language model",
            actual=", ".join(config.architectures or ()) or "an encoder alone",
            hint="train with the objective causal_lm",
        )


def _prompt_ids(
    prompt: str, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel, new_tokens: int
) -> torch.Tensor:
    """Return the prompt's ids `[1, T]`, preceded by the special tokens that precede a text in training."""
    collate = Collator(tokenizer, max_length=1_000_000)
    ids = [*collate.prefix, *tokenizer(prompt, add_special_tokens=False)["input_ids"]]
    if not ids and tokenizer.bos_token_id is not None:
        ids = [tokenizer.bos_token_id]
    if not ids:
        raise ConfigurationError(
            "there is nothing to continue",
            expected="a prompt of at least one token",
            actual=repr(prompt),
            hint="give a longer --prompt",
        )
    limit = getattr(model.config, "max_position_embeddings", None)
    if limit is not None and len(ids) + new_tokens > limit:
        raise ConfigurationError(
            f"the model has {limit} positions",
            expected=f"at most {limit} tokens, those of the prompt included",
            actual=f"{len(ids)} of the prompt and {new_tokens} new tokens",
            hint="shorten the prompt, or lower --max-new-tokens",
        )
    return torch.tensor([ids])
