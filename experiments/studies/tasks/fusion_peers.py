"""Other programs that fuse the same agents' answers: crowd-kit, DESlib, scikit-learn; and MAPIE's sets.

Each gets what its method is made for. crowd-kit reads votes of the agents, those on ``fit`` out of fold,
with their labels. DESlib measures agents near a text on the labelled texts of ``calibrate``, which no fusion
of ours reads. scikit-learn stacks logistic regressions, one for each agent's embeddings.

Legend: N texts, D width of all embeddings side by side, K classes.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import StackingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from agents.answering import Answers, Head, fit_fusion
from agents.answering.answers import Labels, Rows
from agents.answering.logistic import softmax
from agents.answering.stacking import Stacking

COVERAGE = 0.9


@dataclass(frozen=True)
class Said:
    """Embeddings and answers of agents.

    Attributes:
        embeddings: `[N, D]` of each split, those of all agents side by side.
        widths: columns of each agent.
        labels: `[N]` of each split.
        fit: out-of-fold answers of each agent.
        calibrate, test: answers of each agent.
        heads: of each agent.
    """

    embeddings: Mapping[str, NDArray[np.floating]]
    widths: tuple[int, ...]
    labels: Mapping[str, Labels]
    fit: tuple[Answers, ...]
    calibrate: tuple[Answers, ...]
    test: tuple[Answers, ...]
    heads: tuple[Head, ...]

    @property
    def columns(self) -> list[slice]:
        """Columns of each agent."""
        ends = np.cumsum(self.widths).tolist()
        return [slice(end - width, end) for end, width in zip(ends, self.widths, strict=True)]


class Agent(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """An agent as a fitted classifier of scikit-learn, which reads its columns of all embeddings.

    Args:
        head: its head.
        columns: its columns.
    """

    def __init__(self, head: Head, columns: slice) -> None:
        self.head = head
        self.columns = columns

    def __sklearn_is_fitted__(self) -> bool:
        return True

    @property
    def classes_(self) -> Labels:
        """Codes of the classes."""
        return np.arange(self.head.weight.shape[1])

    def fit(self, rows_ND: Rows, labels: Labels) -> Agent:
        """Stay as it is."""
        return self

    def predict_proba(self, rows_ND: Rows) -> Rows:
        """Return probabilities `[N, K]`."""
        return softmax(self.head.scores(rows_ND[:, self.columns]))

    def predict(self, rows_ND: Rows) -> Labels:
        """Return the most probable classes."""
        best: Labels = self.predict_proba(rows_ND).argmax(axis=1)
        return best


def dawid_skene(said: Said, agents: Sequence[int] | None = None) -> Labels:
    """Return the labels that crowd-kit's Dawid–Skene gives the test texts.

    Args:
        said: what agents answered.
        agents: who votes, an agent as often as it is named; all once if None.
    """
    import pandas

    made = importlib.import_module("crowdkit.aggregation").DawidSkene(n_iter=100)
    votes = [
        (int(id), voter, int(code))
        for voter, agent in enumerate(range(len(said.fit)) if agents is None else agents)
        for answers in (said.fit[agent], said.test[agent])
        for id, code in zip(answers.ids, answers.probabilities.argmax(axis=1), strict=True)
    ]
    known = pandas.Series(said.labels["fit"], index=said.fit[0].ids)
    found = made.fit_predict(pandas.DataFrame(votes, columns=["task", "worker", "label"]), known)
    labels: Labels = found.loc[said.test[0].ids].to_numpy(np.int64)
    return labels


def dynamic_selection(said: Said, method: str) -> Labels:
    """Return the labels that a dynamic selection of DESlib gives the test texts.

    Args:
        said: what agents answered.
        method: name of the class.
    """
    pool = [Agent(head, columns) for head, columns in zip(said.heads, said.columns, strict=True)]
    made = getattr(importlib.import_module("deslib.des"), method)(
        pool_classifiers=pool, random_state=0
    )
    from sklearn.utils.validation import validate_data

    # DESlib 0.3.7 calls a method of estimators that scikit-learn 1.6 turned into this function.
    made._validate_data = partial(validate_data, made)
    made.fit(said.embeddings["calibrate"], said.labels["calibrate"])
    found: Labels = np.asarray(made.predict(said.embeddings["test"]), np.int64)
    return found


def stacked(said: Said) -> Labels:
    """Return the labels that scikit-learn's stacking gives the test texts."""
    agents = [
        (f"agent-{place}", make_pipeline(_columns(part), StandardScaler(), LogisticRegression()))
        for place, part in enumerate(said.columns)
    ]
    made = StackingClassifier(agents, LogisticRegression(), cv=5)
    made.fit(said.embeddings["fit"].astype(np.float64), said.labels["fit"])
    found: Labels = made.predict(said.embeddings["test"].astype(np.float64))
    return found


def _columns(part: slice) -> Any:
    return FunctionTransformer(
        np.take, kw_args={"indices": range(part.start, part.stop), "axis": 1}
    )


def mapie_deferral(said: Said, budget: float) -> Labels:
    """Return labels where the first agent passes on the texts of the largest conformal sets, by MAPIE.

    All agents answer what is passed on, fused by stacking.

    Args:
        said: what agents answered.
        budget: share of the texts that is passed on; of sets of one size, the least sure answers.
    """
    first = Agent(said.heads[0], said.columns[0])
    made = importlib.import_module("mapie.classification").SplitConformalClassifier(
        first, confidence_level=COVERAGE, prefit=True
    )
    made.conformalize(said.embeddings["calibrate"], said.labels["calibrate"])
    rows = said.test[0].probabilities
    sizes = made.predict_set(said.embeddings["test"])[1][:, :, 0].sum(axis=1)
    order = np.argsort(
        rows.max(axis=1) - sizes, kind="stable"
    )  # large sets and small probabilities first
    passed = order[: int(budget * len(order))]
    labels: Labels = rows.argmax(axis=1)
    fused = fit_fusion(Stacking(), said.fit, said.labels["fit"]).fuse(said.test)
    labels[passed] = fused.probabilities.argmax(axis=1)[passed]
    return labels


PEERS: Mapping[str, tuple[str, Callable[[Said, float], Labels]]] = {
    "crowd-kit, Dawid–Skene": ("crowdkit", lambda said, _: dawid_skene(said)),
    "DESlib, KNORA-E": ("deslib", lambda said, _: dynamic_selection(said, "KNORAE")),
    "DESlib, META-DES": ("deslib", lambda said, _: dynamic_selection(said, "METADES")),
    "scikit-learn, stacking": ("sklearn", lambda said, _: stacked(said)),
    "best, then all: MAPIE's sets": ("mapie", mapie_deferral),
}
"""Module and function of each peer; functions take the answers, and a budget of deferral."""


def installed(module: str) -> bool:
    """Return whether a peer can be imported here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            importlib.import_module(module)
        except ImportError:
            return False
    return True


def peers(said: Said, budget: float) -> dict[str, float]:
    """Return the accuracy on the test texts of each peer that is installed."""
    found = {}
    for name, (module, answer) in PEERS.items():
        if installed(module):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # theirs, about releases of their dependencies
                found[name] = float((answer(said, budget) == said.labels["test"]).mean())
    return found
