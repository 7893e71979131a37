"""Self-supervised objectives: one file each, and the table that names them."""

from agents.objectives.base import LossOutput, Objective, Prepared, Ratio, RawBatch, Step
from agents.objectives.causal_lm import CausalLM
from agents.objectives.denoising import Denoising
from agents.objectives.info_nce import InfoNCE
from agents.objectives.labelled import Labelled
from agents.objectives.masked_lm import MaskedLM
from agents.objectives.moon import Moon
from agents.objectives.next_sentence import NextSentence
from agents.objectives.nt_xent import NTXent
from agents.objectives.replaced_token_detection import ReplacedTokenDetection
from agents.objectives.sentence_order import SentenceOrder
from agents.objectives.simcse import SimCSE
from agents.objectives.vae import VAE

OBJECTIVES: dict[str, type[Objective]] = {
    "info_nce": InfoNCE,
    "nt_xent": NTXent,
    "simcse": SimCSE,
    "masked_lm": MaskedLM,
    "replaced_token_detection": ReplacedTokenDetection,
    "causal_lm": CausalLM,
    "next_sentence": NextSentence,
    "sentence_order": SentenceOrder,
    "denoising": Denoising,
    "vae": VAE,
    "labelled": Labelled,
    "moon": Moon,
}

__all__ = [
    "CausalLM",
    "Denoising",
    "RawBatch",
    "InfoNCE",
    "Labelled",
    "MaskedLM",
    "Moon",
    "NTXent",
    "NextSentence",
    "OBJECTIVES",
    "LossOutput",
    "Objective",
    "Prepared",
    "Ratio",
    "ReplacedTokenDetection",
    "SentenceOrder",
    "SimCSE",
    "Step",
    "VAE",
]
