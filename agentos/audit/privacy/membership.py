"""Membership inference: was a text part of an agent's private text?

Legend: N texts, C crops of a text, D embedding width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.linear_model import RidgeCV
from sklearn.metrics import roc_auc_score, roc_curve

from protocols.seeding import generator

Embed = Callable[[Sequence[str]], NDArray[np.float32]]
_CROPS, _FEWEST_OUT = 4, 2
_DRAWS = 500
FALSE_POSITIVES = 0.01
"""Share of texts wrongly called members at which the attack's hits are counted."""


@dataclass(frozen=True)
class Attack:
    """Success of an attacker at telling private texts from others of the same kind.

    Attributes:
        view: what the attacker has.
        auc: area under the curve of hits over false alarms; 0.5 by chance.
        low, high: its 95 % bootstrap interval.
        hits: share of members found where 1 % of the others are taken for members.
    """

    view: str
    auc: float
    low: float
    high: float
    hits: float


@dataclass(frozen=True)
class Shadow:
    """An agent of a society of the same configuration and another seed, trained by the attacker.

    Attributes:
        embed: embeds texts as it does.
        read: the texts that it was trained on.
    """

    embed: Embed
    read: frozenset[str]


@dataclass(frozen=True)
class Received:
    """The part of an agent that a neighbour receives.

    Attributes:
        anchors: `[N, F]`, numbers about each public anchor, such as its embedding or soft labels; or None.
        points: `[M, D]`, points among texts, such as prototypes; or None.
    """

    anchors: NDArray[np.float32] | None = None
    points: NDArray[np.float32] | None = None


def membership(
    victim: Embed,
    attacker: Embed,
    members: Sequence[str],
    others: Sequence[str],
    anchors: Sequence[str],
    seed: int = 0,
    sent: Callable[[NDArray[np.float32]], NDArray[np.float32]] = lambda rows: rows,
    shadows: Sequence[Shadow] = (),
    received: Received | None = None,
    plain: Embed | None = None,
) -> list[Attack]:
    """Attack an agent with what its neighbours may have received.

    A contrastive encoder pulls random crops of a training text together, so the mean cosine of crops is the
    score. It is compared with the same score by the attacker's own encoder, which has not seen the text:
    texts differ in how easy they are (Watson et al., 2022).

    Three views: *parameters*, the victim's encoder itself; *anchors*, its embeddings of public anchors
    alone, from which the attacker fits a linear map of its own embeddings; and *text alone*, the floor: the
    attacker's own encoder, which tells how far members and others differ without the victim. With shadows
    there is another, *shadows*: the victim's encoder, each score standardised by those of the shadows that
    have not read the text (the offline attack of Carlini et al., 2022).

    With `received` there is *messages*, too: exactly what crossed. Of numbers about anchors, the attacker
    fits a map as for *anchors*; to points among texts, members are nearer than others.

    Args:
        victim: embeds texts as the attacked agent does.
        attacker: embeds them as a neighbour does.
        members: private texts of the victim.
        others: texts of the same kind that neither has read.
        anchors: public texts; embeddings are centred at their mean.
        seed: draws the crops and the bootstrap.
        sent: turns the victim's embeddings of anchors into those that it sends, where it protects them.
        shadows: agents whose text the attacker knows; texts that fewer than two of them have left unread
            keep a score of 0.
        received: the victim's message.
        plain: embeds as the attacker's encoder does where points come from: without a map after it;
            `attacker` if not given.

    Sources: Yeom et al., Privacy Risk in Machine Learning, 2018; Watson et al., On the Importance of
    Difficulty Calibration in Membership Inference Attacks, 2022; Carlini et al., Membership Inference Attacks
    From First Principles, 2022, on hits at few false alarms.
    """
    texts, truth = [*members, *others], np.repeat([True, False], [len(members), len(others)])
    crops = [crop for number, text in enumerate(texts) for crop in _crops(text, seed, number)]
    own_anchors, embedded = attacker(anchors), victim(anchors)
    sent_anchors = sent(embedded)
    own_crops = attacker(crops)
    own = _alignment(own_crops, own_anchors.mean(axis=0))
    attacked = _alignment(victim(crops), embedded.mean(axis=0))
    surrogate = _surrogate(own_anchors, sent_anchors)
    imitated = _alignment(surrogate(own_crops), sent_anchors.mean(axis=0))
    scores = {
        "parameters": attacked - own,
        "anchors": imitated - own,
        "text alone": own,
    }
    if received is not None and received.anchors is not None:
        mapped = _surrogate(own_anchors, received.anchors)(own_crops)
        scores["messages"] = _alignment(mapped, received.anchors.mean(axis=0)) - own
    elif received is not None and received.points is not None:
        scores["messages"] = _closeness((plain or attacker)(texts), received.points)
    if shadows:
        scores["shadows"] = _standardised(attacked, texts, crops, anchors, shadows)
    return [_attack(view, values, truth, seed) for view, values in scores.items()]


def _standardised(
    attacked: NDArray[np.float64],
    texts: Sequence[str],
    crops: Sequence[str],
    anchors: Sequence[str],
    shadows: Sequence[Shadow],
) -> NDArray[np.float64]:
    """Return scores `[N]` in standard deviations above those of shadows that have not read the text."""
    known = np.stack(
        [_alignment(each.embed(crops), each.embed(anchors).mean(axis=0)) for each in shadows]
    )
    out = np.array([[text not in each.read for text in texts] for each in shadows])
    outside = np.where(out, known, np.nan)
    enough = out.sum(axis=0) >= _FEWEST_OUT
    found = np.zeros(len(texts))
    mean, spread = (f(outside[:, enough], axis=0) for f in (np.nanmean, np.nanstd))
    found[enough] = (attacked[enough] - mean) / np.maximum(spread, 1e-6)
    return found


def _crops(text: str, seed: int, number: int) -> list[str]:
    """Return random halves of a text's words; a text of fewer than four words stays whole."""
    words = text.split()
    draws = generator(seed, "membership crops", number)
    size = len(words) if len(words) < 4 else max(2, len(words) // 2)
    starts = draws.integers(0, len(words) - size + 1, size=_CROPS)
    return [" ".join(words[start : start + size]) for start in starts.tolist()]


def _alignment(rows: NDArray[np.float32], mean_D: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the mean cosine `[N]` between the crops of each text, from the crops' embeddings `[N C, D]`."""
    centred = rows.astype(np.float64) - mean_D
    centred /= np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)
    units_NCD = centred.reshape(-1, _CROPS, centred.shape[1])
    sums_ND = units_NCD.sum(axis=1)
    alignment: NDArray[np.float64] = ((sums_ND**2).sum(axis=1) - _CROPS) / (_CROPS * (_CROPS - 1))
    return alignment


def _closeness(rows: NDArray[np.float32], points: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the cosine `[N]` of each text to the nearest point, less the mean over the points if several."""
    units, others = (
        each / np.maximum(np.linalg.norm(each, axis=1, keepdims=True), 1e-12)
        for each in (rows.astype(np.float64), points.astype(np.float64))
    )
    cosines = units @ others.T
    nearest: NDArray[np.float64] = cosines.max(axis=1)
    return nearest - cosines.mean(axis=1) if len(points) > 1 else nearest


def _surrogate(
    own: NDArray[np.float32], received: NDArray[np.float32]
) -> Callable[..., NDArray[np.float32]]:
    """Fit a map from the attacker's embeddings of anchors to those that it received."""
    fitted = RidgeCV(alphas=np.logspace(-3, 3, 7)).fit(own, received)
    return lambda rows: np.asarray(fitted.predict(rows), dtype=np.float32)


def _attack(view: str, scores: NDArray[np.float64], truth: NDArray[np.bool_], seed: int) -> Attack:
    low, high = _bootstrap(scores, truth, seed)
    alarms, hits, _ = roc_curve(truth, scores, drop_intermediate=False)
    found = float(hits[alarms <= FALSE_POSITIVES].max())
    return Attack(view, float(roc_auc_score(truth, scores)), low, high, found)


def _bootstrap(
    scores: NDArray[np.float64], truth: NDArray[np.bool_], seed: int
) -> tuple[float, float]:
    """Return the 95 % interval of the area under the curve, members and others drawn apart."""
    draws = generator(seed, "membership bootstrap")
    members, others = np.flatnonzero(truth), np.flatnonzero(~truth)
    drawn = [
        np.concatenate([draws.choice(each, len(each)) for each in (members, others)])
        for _ in range(_DRAWS)
    ]
    # The area is the Mann-Whitney statistic of the members' ranks, over its largest value.
    ranks = rankdata(scores[np.stack(drawn)], axis=1)[:, : len(members)].sum(axis=1)
    least = len(members) * (len(members) + 1) / 2
    areas = (ranks - least) / (len(members) * len(others))
    low, high = np.quantile(areas, [0.025, 0.975])
    return float(low), float(high)
