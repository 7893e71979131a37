"""Follow the defaults of a library through its releases: which resolver knows the default that holds?

    python -m experiments.studies.learning.release_stream

Every release is a source: its docstrings state defaults of parameters. Defaults change, so that sources
contradict each other, and the winner is known: the signature in the newest release. An unchanged text is one
origin, in however many releases it stands. `release_extract` made the extract that is read.

Legend: S releases, N parameters, K values that are stated about one parameter.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from agentos.learning.knowledge.resolvers import RESOLVERS, Ballots
from agentos.reporting.statistics import interval
from experiments.benchmarks.harness.societies import RESULTS
from experiments.studies.cooperation.paired_lines import interval_text
from experiments.studies.exchange_tables import markdown
from experiments.studies.learning.release_extract import EXTRACT, release_order
from experiments.studies.running import command
from protocols.seeding import generator

AUDITED, MIRRORS, MIRRORED = 0.05, 3, "0.20.4"
"""Share of parameters whose default is known, and sources that repeat the docstrings of one old release."""
READING = (
    "Where each release is a source, only `latest` knows that a newer text replaces an older one: the others "
    "weigh both, `origin_beta` most of all, since a text that stayed for many releases counts once, and so "
    "does the text that replaced it. A source that revises itself is therefore better stated as one, by what "
    "it stated last. Copies of an old release that come last deceive all resolvers but `origin_beta`, which "
    "counts them once and has seen that they err more often. The library as one source was added after the "
    "table of single releases had been seen."
)
HEAD = (
    *(
        "sources",
        "resolver",
        "right at the end",
        "where docstrings differ",
        "right after each release",
    ),
    *("precision", "recall", "F1"),
)
Texts = NDArray[np.str_]


@dataclass(frozen=True)
class History:
    """Defaults of parameters in successive releases; an empty text where there is none.

    Attributes:
        versions: S names, oldest first.
        signature_SN: `[S, N]`, the default that held in each release.
        documented_SN: `[S, N]`, the one that its docstring stated.
        text_SN: `[S, N]`, digest of the text that stated it.
    """

    versions: tuple[str, ...]
    signature_SN: Texts
    documented_SN: Texts
    text_SN: Texts

    def as_one(self) -> History:
        """Return the history of one source, whose newest statement about a parameter replaces all before."""
        documented_N, text_N = self.documented_SN[0].copy(), self.text_SN[0].copy()
        for stated_N, rests_on_N in zip(self.documented_SN, self.text_SN, strict=True):
            new_N = stated_N != ""
            documented_N[new_N], text_N[new_N] = stated_N[new_N], rests_on_N[new_N]
        held_N = self.signature_SN[-1]
        return History(("newest",), held_N[None], documented_N[None], text_N[None])

    def with_mirrors(self, old: History) -> History:
        """Return the history with sources that repeat an old release, after the newest one."""
        row = old.versions.index(MIRRORED)
        documented_SN, text_SN, held_SN = (
            np.concatenate([values, np.repeat(repeated[None], MIRRORS, axis=0)])
            for values, repeated in (
                (self.documented_SN, old.documented_SN[row]),
                (self.text_SN, old.text_SN[row]),
                (self.signature_SN, self.signature_SN[-1]),
            )
        )
        names = tuple(f"mirror {number}" for number in range(MIRRORS))
        return History((*self.versions, *names), held_SN, documented_SN, text_SN)


@dataclass(frozen=True)
class Claims:
    """Claims of releases as resolvers take them, and the value that holds, as a place among K."""

    ballots: Ballots
    truth_N: NDArray[np.int64]

    @property
    def stated_SN(self) -> NDArray[np.bool_]:
        """Return which releases state a default."""
        return np.asarray(self.ballots.shares_SNK.any(axis=2), np.bool_)

    @property
    def contested_N(self) -> NDArray[np.bool_]:
        """Return which parameters have several stated defaults."""
        return np.asarray(self.ballots.shares_SNK.any(axis=0).sum(axis=1) > 1, np.bool_)


def read(path: Path) -> History:
    """Read an extract."""
    with path.open(encoding="utf-8", newline="") as file:
        spans = list(csv.DictReader(file))
    versions = sorted({row[end] for row in spans for end in ("first", "last")}, key=release_order)
    places = sorted({(row["symbol"], row["parameter"]) for row in spans})
    columns = {
        name: np.full((len(versions), len(places)), "", dtype=object)
        for name in ("signature", "documented", "text")
    }
    at = {place: number for number, place in enumerate(places)}
    for row in spans:
        first, last = versions.index(row["first"]), versions.index(row["last"])
        for name, values in columns.items():
            values[first : last + 1, at[row["symbol"], row["parameter"]]] = row[name]
    return History(tuple(versions), *(values.astype(str) for values in columns.values()))


def claims_of(history: History, seed: int) -> Claims:
    """Return what releases state, the values of each parameter in an order of their own."""
    stated_SN, truth = history.documented_SN, history.signature_SN[-1]
    count = len(truth)
    values = [sorted({*stated_SN[:, n][stated_SN[:, n] != ""], truth[n]}) for n in range(count)]
    size = max(map(len, values))
    shares = np.zeros((*stated_SN.shape, size))
    places = np.zeros(count, np.int64)
    rng = generator(seed, "releases", "order")
    for n, own in enumerate(values):
        place = dict(zip(own, rng.permutation(size).tolist(), strict=False))
        places[n] = place[truth[n]]
        for source in np.flatnonzero(stated_SN[:, n] != ""):
            shares[source, n, place[stated_SN[source, n]]] = 1.0
    known = generator(seed, "releases", "audit").permutation(count)[: round(AUDITED * count)]
    audit = np.full(count, -1, np.int64)
    audit[known] = places[known]
    origins = np.unique(history.text_SN, return_inverse=True)[1].reshape(stated_SN.shape)
    times = np.arange(len(stated_SN), dtype=np.float64)
    return Claims(Ballots(shares, origins, times, audit), places)


def figures(claims: Claims, contested_N: NDArray[np.bool_], kind: str) -> list[float]:
    """Return the figures of a row of the table, in points; parameters of the audit are left out.

    Args:
        claims: what the sources state.
        contested_N: parameters for which releases state several defaults.
        kind: the resolver.
    """
    shares_NK = RESOLVERS[kind].model_validate({}).resolve(claims.ballots).shares_NK
    asked_N = claims.ballots.audit_N < 0
    right_N = shares_NK.argmax(axis=1) == claims.truth_N
    chosen_SN = claims.ballots.shares_SNK.argmax(axis=2)
    among_SN = claims.stated_SN & asked_N
    wrong_SN = among_SN & (chosen_SN != claims.truth_N)
    found_SN = among_SN & (shares_NK[np.arange(len(right_N)), chosen_SN] < 0.5)
    hits = float((wrong_SN & found_SN).sum())
    return [
        100 * float(right_N[asked_N].mean()),
        100 * float(right_N[asked_N & contested_N].mean()),
        100 * hits / max(1, int(found_SN.sum())),
        100 * hits / max(1, int(wrong_SN.sum())),
        200 * hits / max(1, int(found_SN.sum() + wrong_SN.sum())),
    ]


def scenarios(history: History) -> dict[str, History]:
    """Return who the sources are, by name."""
    one = history.as_one()
    return {
        "each release": history,
        "each release, mirrors": history.with_mirrors(history),
        "the library": one,
        "the library, mirrors": one.with_mirrors(history),
    }


def table(history: History, seeds: int) -> str:
    """Return a Markdown table: a row for each kind of sources and resolver."""
    contested_N, rows = claims_of(history, 0).contested_N, []
    for name, given in scenarios(history).items():
        draws = [claims_of(given, seed) for seed in range(seeds)]
        for kind in RESOLVERS:
            found = [figures(claims, contested_N, kind) for claims in draws]
            rows.append([name, kind, *(_shown(column) for column in zip(*found, strict=True))])
            typer.echo(" ".join(rows[-1]))
    return markdown(HEAD, rows)


def _shown(values: Sequence[float]) -> str:
    return interval_text(interval(values), ".1f")


def main(
    extract: Annotated[Path, typer.Option(help="Extract of `release_extract`.")] = EXTRACT,
    seeds: Annotated[int, typer.Option(help="Draws of the audit.")] = 5,
    results: Annotated[Path, typer.Option(help="Folder of the page.")] = RESULTS,
) -> None:
    """Resolve the defaults, and write the page."""
    history = read(extract)
    claims = claims_of(history, 0)
    about = (
        f"{len(history.versions)} releases of scikit-learn, {history.versions[0]} to {history.versions[-1]}: "
        f"{len(claims.truth_N):,} parameters of the newest; docstrings state several defaults for "
        f"{int(claims.contested_N.sum()):,}. Right: the default of the newest signature. After each release: "
        "the signature of that release, by what had been stated until then, where docstrings differ. "
        "Precision, recall and F1 of finding claims that do not hold. Stale mirrors: "
        f"{MIRRORS} sources that repeat release {MIRRORED} word for word, after the newest release. "
        f"Points, mean ± half-width of a 95 % Student interval over {seeds} draws of the "
        f"{AUDITED:.0%} of parameters whose default is known in advance; they are not asked."
    )
    parts = ["# Defaults that changed", f"`{command('learning.release_stream')}`", about]
    page = results / "release_stream.md"
    page.write_text("\n\n".join([*parts, table(history, seeds), READING]) + "\n", encoding="utf-8")
    typer.echo(str(page))


if __name__ == "__main__":
    typer.run(main)
