"""The strategies of exchange that stand alone: one file each, and the table that names them."""

from agents.exchange.anchors.anchor_contrast import AnchorContrast
from agents.exchange.anchors.anchor_similarity import AnchorSimilarity
from agents.exchange.anchors.codistillation import Codistillation
from agents.exchange.anchors.dsfl import EntropyReduced
from agents.exchange.anchors.embedding_distillation import EmbeddingDistillation
from agents.exchange.anchors.fedmd import LogitConsensus
from agents.exchange.anchors.fedproto import ClassPrototypes
from agents.exchange.anchors.pseudo_labels import PseudoLabelling
from agents.exchange.anchors.ranked_neighbours import RankedNeighbours
from agents.exchange.base import Exchange
from agents.exchange.isolated import Isolated
from agents.exchange.parameters.diloco import DiLoCo
from agents.exchange.parameters.fedavg import WeightAveraging
from agents.exchange.parameters.fedema import FedEMA
from agents.exchange.parameters.fedprox import FedProx
from agents.exchange.private.cross_negatives import CrossNegatives
from agents.exchange.private.dcco import CrossCorrelation
from agents.exchange.private.prototypes import GlobalPrototypes

STRATEGIES: dict[str, type[Exchange]] = {
    "none": Isolated,
    "anchor_contrast": AnchorContrast,
    "anchor_similarity": AnchorSimilarity,
    "weights": WeightAveraging,
    "fedprox": FedProx,
    "fedema": FedEMA,
    "diloco": DiLoCo,
    "pseudo_labels": PseudoLabelling,
    "logits": LogitConsensus,
    "era": EntropyReduced,
    "mutual": Codistillation,
    "ranked_neighbours": RankedNeighbours,
    "prototypes": GlobalPrototypes,
    "class_prototypes": ClassPrototypes,
    "embedding_distillation": EmbeddingDistillation,
    "correlation": CrossCorrelation,
    "cross_negatives": CrossNegatives,
}
