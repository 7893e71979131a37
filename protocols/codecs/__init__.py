"""Codecs of arrays: one file each, and the table that names them."""

from protocols.codecs.base import Codec
from protocols.codecs.bf16 import Bf16
from protocols.codecs.fp16 import Fp16
from protocols.codecs.fp32 import Fp32
from protocols.codecs.int8 import Int8
from protocols.codecs.pca import Pca
from protocols.codecs.top_k import TopK

CODECS: dict[str, type[Codec]] = {
    "fp32": Fp32,
    "fp16": Fp16,
    "bf16": Bf16,
    "int8": Int8,
    "pca": Pca,
    "top_k": TopK,
}

__all__ = ["CODECS", "Codec"]
