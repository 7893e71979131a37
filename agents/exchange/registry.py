"""Table of the exchange strategies by kind, hybrids aside: one file each."""

from agents.exchange.anchors.anchor_contrast import AnchorContrast
from agents.exchange.anchors.anchor_similarity import AnchorSimilarity
from agents.exchange.anchors.codistillation import Codistillation
from agents.exchange.anchors.dsfl import DSFL
from agents.exchange.anchors.embedding_distillation import EmbeddingDistillation
from agents.exchange.anchors.fedmd import FedMD
from agents.exchange.anchors.fedproto import FedProto
from agents.exchange.anchors.pseudo_labels import PseudoLabelExchange
from agents.exchange.anchors.ranked_neighbours import RankedNeighbours
from agents.exchange.anchors.secure_pseudo_labels import SecurePseudoLabels
from agents.exchange.base import Exchange
from agents.exchange.isolated import Isolated
from agents.exchange.parameters.demo import DeMo
from agents.exchange.parameters.diloco import DiLoCo
from agents.exchange.parameters.fedavg import FedAvg
from agents.exchange.parameters.fedema import FedEMA
from agents.exchange.parameters.fedprox import FedProx
from agents.exchange.parameters.noloco import NoLoCo
from agents.exchange.parameters.sparta import Sparta
from agents.exchange.parameters.streaming_diloco import StreamingDiLoCo
from agents.exchange.private.cross_negatives import CrossNegatives
from agents.exchange.private.dcco import DCCO
from agents.exchange.private.prototypes import PrototypeExchange
from agents.exchange.private.secure_fedavg import SecureFedAvg

STRATEGIES: dict[str, type[Exchange]] = {
    "isolated": Isolated,
    "anchor_contrast": AnchorContrast,
    "anchor_similarity": AnchorSimilarity,
    "fedavg": FedAvg,
    "fedprox": FedProx,
    "fedema": FedEMA,
    "diloco": DiLoCo,
    "streaming_diloco": StreamingDiLoCo,
    "noloco": NoLoCo,
    "sparta": Sparta,
    "demo": DeMo,
    "secure_fedavg": SecureFedAvg,
    "pseudo_labels": PseudoLabelExchange,
    "secure_pseudo_labels": SecurePseudoLabels,
    "fedmd": FedMD,
    "dsfl": DSFL,
    "codistillation": Codistillation,
    "ranked_neighbours": RankedNeighbours,
    "prototypes": PrototypeExchange,
    "fedproto": FedProto,
    "embedding_distillation": EmbeddingDistillation,
    "dcco": DCCO,
    "cross_negatives": CrossNegatives,
}
