"""The page of an explanation: the text in colours, its words in a table, and the check as curves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from agentos.audit.explanation.faithfulness import RANDOM_ORDERS, Faithfulness
from agentos.audit.explanation.neighbours import Neighbour
from agentos.audit.explanation.word_explanation import METHODS, Explanation
from agentos.reporting.charts.plotting import Chart, Trace
from agentos.reporting.page import write_page

_NAMES = {"integrated_gradients": "integrated gradients", "occlusion": "leaving words out"}


def write_explanation(path: Path, found: Explanation, near: Sequence[Neighbour] = ()) -> Path:
    """Write an explanation as one HTML page that opens offline; return its path.

    Raises:
        RecordError: the page cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    chart = _curves(found)
    return write_page(
        path,
        "explanation.html.j2",
        charts=[chart],
        target=found.target,
        score=found.attribution.score,
        pieces=pieces(found),
        rows=_rows(found),
        trust=trust(found),
        near=[(f"{one.cosine:+.2f}", one.text[:300]) for one in near],
        chart=chart,
    )


def shares(found: Explanation) -> list[float]:
    """Return each word's contribution as a share of the largest in size, from -1 to 1."""
    largest = float(np.abs(found.contributions).max())
    return [float(value) / largest if largest else 0.0 for value in found.contributions]


def trust(found: Explanation) -> str:
    """Say in one sentence which method is shown and what its check found."""
    check = found.checks[found.method]
    counts = (
        f"of {RANDOM_ORDERS} random orders, this one beats {check.deletion_beats} at lowering the number by "
        f"deleting words, and {check.insertion_beats} at raising it by inserting them"
    )
    agreement = (
        ""
        if found.agreement is None
        else f"; rank correlation with the other method {found.agreement:.2f}"
    )
    verdict = "" if found.faithful() else "; do not rely on it"
    return f"by {_NAMES[found.method]}: {counts}{agreement}{verdict}"


def pieces(found: Explanation) -> list[tuple[str, float]]:
    """Cut the text into what stands between words, with share 0, and words, with their shares."""
    text, place, cut = found.words.text, 0, list[tuple[str, float]]()
    for word, share in zip(found.words.words, shares(found), strict=True):
        start = max(word.start, place)
        cut += [(text[place:start], 0.0), (text[start : word.end], share)]
        place = max(place, word.end)
    return [(piece, share) for piece, share in (*cut, (text[place:], 0.0)) if piece]


def _rows(found: Explanation) -> list[tuple[str, str, str]]:
    """Return words with their contributions by both methods, the strongest first."""
    order = np.argsort(-np.abs(found.contributions), kind="stable").tolist()
    gradients, occlusion = found.attribution.gradients, found.attribution.occlusion
    return [
        (found.words.spelling(word), f"{gradients[word]:+.4f}", f"{occlusion[word]:+.4f}")
        for word in order
    ]


def _curves(found: Explanation) -> Chart:
    """Return deletion and insertion curves of both methods, and those of random orders."""
    traces: list[Trace] = []
    for method, hue in zip(METHODS, ("--together", "--alone"), strict=True):
        traces += _pair(found.checks[method], _NAMES[method], hue)
    check = found.checks[METHODS[0]]
    for values, dash in ((check.random_deletion, "solid"), (check.random_insertion, "dash")):
        traces.append(_line(check.words, values, "random order", "--before", dash))
    return Chart(
        id="curves",
        title="Does the number follow the words?",
        caption="Solid: words go, the strongest first; a good explanation falls early. "
        "Dashed: words come into an empty text; a good one rises early.",
        traces=traces,
        layout={
            "xaxis": {"title": {"text": "words gone, or come"}},
            "yaxis": {"title": {"text": found.target}},
            "showlegend": True,
        },
        height_px=420,
    )


def _pair(check: Faithfulness, name: str, hue: str) -> list[Trace]:
    return [
        _line(check.words, check.deletion, name, hue, "solid"),
        _line(check.words, check.insertion, name, hue, "dash"),
    ]


def _line(words: Sequence[int], values: Sequence[float], name: str, hue: str, dash: str) -> Trace:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": f"{name}, {'going' if dash == 'solid' else 'coming'}",
        "x": list(words),
        "y": list(values),
        "line": {"color": hue, "dash": dash},
    }
