"""Language models trained with an encoder: a decoder conditioned on one vector, and ELECTRA's generator.

Legend: B texts, T tokens, M tokens to be predicted in all texts, W width, V size of the vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import (
    BertConfig,
    BertLMHeadModel,
    ElectraConfig,
    ElectraForMaskedLM,
    PreTrainedModel,
)

from agents.models.cpu.byte_dropout import dropout_of
from agents.text.batch import Batch

_POSITIONS = 8192  # the longest training.max_length; for backbones that name no limit


class TextDecoder(nn.Module):
    """BERT as a decoder: causal attention among the tokens, cross-attention to one vector per text.

    Input and output word embeddings are the encoder's if they are as wide as its states; narrower embeddings,
    such as ALBERT's, cannot be shared.

    Args:
        backbone: the encoder's backbone; sets width, heads, dropout and word embeddings.
        layers: number of layers of the decoder.

    Source: Wang et al., TSDAE: Using Transformer-based Sequential Denoising Auto-Encoder for Unsupervised
    Sentence Embedding Learning, 2021.
    """

    def __init__(self, backbone: PreTrainedModel, layers: int) -> None:
        super().__init__()
        words: Any = backbone.get_input_embeddings()
        width = int(backbone.config.hidden_size)
        self.model = BertLMHeadModel(
            BertConfig(
                vocab_size=words.weight.shape[0],
                hidden_size=width,
                num_hidden_layers=layers,
                num_attention_heads=int(getattr(backbone.config, "num_attention_heads", 1)),
                intermediate_size=4 * width,
                max_position_embeddings=_positions(backbone.config),
                hidden_dropout_prob=dropout_of(backbone),
                attention_probs_dropout_prob=0.0,
                pad_token_id=backbone.config.pad_token_id,
                is_decoder=True,
                add_cross_attention=True,
            )
        )
        if words.weight.shape[1] == width:
            self.model.bert.embeddings.word_embeddings.weight = words.weight
        # Replacing the input embedding has undone the tie to the output embedding.
        self.model.cls.predictions.decoder.weight = (
            self.model.bert.embeddings.word_embeddings.weight
        )

    def score(self, batch: Batch, conditions_BW: Tensor) -> Tensor:
        """Predict every token of a text from those before it and the text's vector (teacher forcing).

        Args:
            batch: the texts; the first token of each is given, padding is not predicted.
            conditions_BW: `[B, W]`, the texts' vectors, through which the gradient flows.

        Returns:
            `[B, 3]`, sums over the tokens of each text: ``-log p`` in nats, tokens whose most probable
            prediction is right, and predicted tokens.
        """
        predicted_BT = batch.attention_mask[:, 1:].bool()
        targets_M = batch.input_ids[:, 1:][predicted_BT]
        states_BTW = self.model.bert(
            input_ids=batch.input_ids[:, :-1],
            encoder_hidden_states=conditions_BW[:, None],
            use_cache=False,
        ).last_hidden_state
        # Padding is dropped before the head, whose logits over the vocabulary are the main cost.
        logits_MV = self.model.cls(states_BTW[predicted_BT]).float()
        nats_M = F.cross_entropy(logits_MV, targets_M, reduction="none")
        correct_M = (logits_MV.argmax(dim=1) == targets_M).to(nats_M.dtype)
        zeros_BT = torch.zeros_like(predicted_BT, dtype=nats_M.dtype)
        sums = [
            zeros_BT.masked_scatter(predicted_BT, values).sum(dim=1)
            for values in (nats_M, correct_M)
        ]
        return torch.stack([*sums, predicted_BT.sum(dim=1).to(nats_M.dtype)], dim=1)


class MaskedGenerator(nn.Module):
    """A narrow masked language model that proposes plausible tokens: the generator of ELECTRA.

    Its input and output word embeddings are the encoder's, projected to its width; nothing else is shared.
    Its attention heads are as wide as the encoder's, as far as its width allows.

    Args:
        backbone: the encoder's backbone; sets width, heads, dropout and word embeddings.
        size: its width, as a fraction of the encoder's.
        layers: number of its layers; None for as many as the encoder has.

    Source: Clark et al., ELECTRA: Pre-training Text Encoders as Discriminators Rather Than Generators, 2020.
    """

    def __init__(self, backbone: PreTrainedModel, size: float, layers: int | None = None) -> None:
        super().__init__()
        words: Any = backbone.get_input_embeddings()
        config = backbone.config
        heads = max(1, round(size * int(getattr(config, "num_attention_heads", 1))))
        width = heads * max(1, int(size * int(config.hidden_size) / heads))
        self.model = ElectraForMaskedLM(
            ElectraConfig(
                vocab_size=words.weight.shape[0],
                embedding_size=words.weight.shape[1],
                hidden_size=width,
                num_hidden_layers=layers or int(config.num_hidden_layers),
                num_attention_heads=heads,
                intermediate_size=4 * width,
                max_position_embeddings=_positions(config),
                type_vocab_size=1,
                hidden_dropout_prob=dropout_of(backbone),
                attention_probs_dropout_prob=0.0,
                pad_token_id=config.pad_token_id,
            )
        )
        self.model.electra.embeddings.word_embeddings.weight = words.weight
        # Replacing the input embedding has undone the tie to the output embedding.
        self.model.generator_lm_head.weight = words.weight

    def forward(self, batch: Batch, masked_BT: Tensor) -> Tensor:
        """Return the logits `[M, V]`, float32, of masked tokens, in the order of texts and places.

        Args:
            batch: B texts.
            masked_BT: bool, the tokens to be predicted.
        """
        states_BTW = self.model.electra(
            input_ids=batch.input_ids, attention_mask=batch.attention_mask
        ).last_hidden_state
        # Logits over the vocabulary are the main cost, so only the states of masked tokens pass the head.
        predictions_MW = self.model.generator_predictions(states_BTW[masked_BT])
        logits_MV: Tensor = self.model.generator_lm_head(predictions_MW).float()
        return logits_MV


def _positions(config: Any) -> int:
    return int(getattr(config, "max_position_embeddings", None) or _POSITIONS)
