"""The strategies of exchange that stand alone: one file each, and the table that names them."""

from agents.exchange.anchor_contrast import AnchorContrast
from agents.exchange.anchor_similarity import AnchorSimilarity
from agents.exchange.base import Exchange
from agents.exchange.class_prototypes import ClassPrototypes
from agents.exchange.correlation import CrossCorrelation
from agents.exchange.cross_negatives import CrossNegatives
from agents.exchange.diloco import DiLoCo
from agents.exchange.embedding_distillation import EmbeddingDistillation
from agents.exchange.era import EntropyReduced
from agents.exchange.fedema import FedEMA
from agents.exchange.fedprox import FedProx
from agents.exchange.logits import LogitConsensus
from agents.exchange.mutual import Codistillation
from agents.exchange.none import Isolated
from agents.exchange.prototypes import GlobalPrototypes
from agents.exchange.pseudo_labels import PseudoLabelling
from agents.exchange.ranked_neighbours import RankedNeighbours
from agents.exchange.weights import WeightAveraging

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
