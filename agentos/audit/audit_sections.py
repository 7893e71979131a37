"""The parts of an audit as titles, rows of text, notes and charts, for the terminal and the page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agentos.audit.bias import bias_by_arm
from agentos.audit.bias.bias_by_arm import ARMS, Associations, Bias
from agentos.audit.bias.group_gaps import Gap
from agentos.audit.privacy.membership import Attack
from agentos.audit.run_audit import AgentPrivacy, Audit, verdict
from agentos.data.private_labels import Poison
from agentos.reporting.charts.plotting import ALONE, BEFORE, TOGETHER, Chart, Trace
from agentos.reporting.units import span

_WEAK = 0.05
_METRICS = {
    "halves": "reciprocal rank of a document's second half, searched by its first half among all held-out",
    "neighbours": "share of documents whose label most of the ten nearest others have",
}
_HUES = dict(zip(ARMS, (BEFORE, ALONE, TOGETHER), strict=True))


@dataclass(frozen=True)
class Section:
    """One table of an audit.

    Attributes:
        title: its heading.
        headings, rows: its cells, the first of each row its name.
        note: how to read it.
        verdict: what it says in one sentence; perhaps "".
        chart: the same as a picture; None for none.
    """

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str
    verdict: str = ""
    chart: Chart | None = None


def sections(audit: Audit, poison: Poison | None = None) -> Iterator[Section]:
    """Yield the parts of an audit that were made; `poison` is that of the run."""
    if audit.privacy:
        yield _privacy(audit.privacy)
    if audit.bias is not None and audit.bias.associations:
        yield _associations(audit.bias.associations)
    if audit.bias is not None:
        yield from _groups(audit.bias)
    if audit.poison and poison is not None:
        yield _poison(audit, poison)


def _privacy(found: Sequence[AgentPrivacy]) -> Section:
    seen = {attack.view for each in found for attack in each.membership}
    # What crossed says more than an upper bound of it.
    sent = "messages" if "messages" in seen else "anchors"
    headings = ["agent", "from parameters", "hits", f"from {sent}", "alone", "words", "floor"]
    headings += ["with shadows"] if "shadows" in seen else []
    rows = []
    for each in found:
        parameters, alone = each.view("parameters"), each.view("text alone")
        assert parameters is not None  # an attack always has these two views
        assert alone is not None
        row = [str(each.agent), _area(parameters), f"{parameters.hits:.1%}", _area(each.view(sent))]
        row += [f"{alone.auc:.2f}", f"{each.inversion.f1:.3f}", f"{each.inversion.floor:.3f}"]
        rows.append([*row, _area(each.view("shadows"))] if "shadows" in seen else row)
    attacked = span({each.members for each in found})
    note = (
        f"n = {attacked} private texts of each agent, and as many others; from: area under the curve of the "
        "attack, 0.5 by chance, with its 95 % interval; hits: members found at 1 % false alarms; alone: the "
        "attack without the attacked agent; words: F1 of words that an embedding of a private text gives "
        "away; floor: naming the most frequent words"
    )
    proof = "An attack that fails proves nothing about a better one."
    title = "Membership and inversion"
    return Section(title, headings, rows, note, f"{verdict(found)} {proof}", _areas(found))


def _areas(found: Sequence[AgentPrivacy]) -> Chart:
    traces: list[Trace] = []
    for place, first in enumerate(found[0].membership):
        rows = [row for each in found if (row := each.view(first.view)) is not None]
        errors = {
            "type": "data",
            "symmetric": False,
            "array": [row.high - row.auc for row in rows],
            "arrayminus": [row.auc - row.low for row in rows],
        }
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": first.view,
                "x": [each.agent + 0.12 * (place - 1) for each in found if each.view(first.view)],
                "y": [row.auc for row in rows],
                "error_y": errors,
                "marker": {
                    "color": (TOGETHER, ALONE, BEFORE, "#cc79a7", "#009e73")[place],
                    "size": 8,
                },
            }
        )
    layout = {
        "xaxis": {"title": {"text": "agent attacked"}, "dtick": 1},
        "yaxis": {"title": {"text": "area under the curve"}},
        "showlegend": True,
    }
    caption = "By what the attacker has; 0.5 is chance, bars are 95 % intervals."
    return Chart("membership", "Was a text among the private ones?", caption, traces, layout, 360)


def _associations(found: Associations) -> Section:
    present = [arm for arm in ARMS if arm in found]
    changed = bias_by_arm.changes(found)
    rows = []
    for place, first in enumerate(next(iter(found["together"].values()))):
        row = [f"{' : '.join(first.targets)} = {' : '.join(first.attributes)}"]
        for arm in present:
            tests = [each[place] for each in found[arm].values()]
            mean = sum(test.effect for test in tests) / len(tests)
            row.append(f"{mean:+.2f} ({sum(test.p < _WEAK for test in tests)}/{len(tests)})")
        if changed:
            row.append(f"{changed[place].change:+.2f} (p {changed[place].p:.2f})")
        rows.append(row)
    headings = ["test", *present, *(["change of |d|"] if changed else [])]
    note = (
        "effect size d, a mean over agents, and of how many it has p < 0.05 by permutation, not corrected "
        "for the number of tests; positive: the first words are nearer to the first attributes"
        + ("; change: |d| together less alone, p by flipping signs over agents" if changed else "")
    )
    said = bias_by_arm.verdict(found)
    return Section("Associations of words", headings, rows, note, said, _effects(found, present))


def _effects(found: Associations, present: Sequence[str]) -> Chart:
    traces: list[Trace] = []
    for shift, arm in enumerate(present):
        points = [
            (test.effect, place + 0.2 * (shift - 1))
            for rows in found[arm].values()
            for place, test in enumerate(rows)
        ]
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": arm,
                "x": [effect for effect, _ in points],
                "y": [height for _, height in points],
                "marker": {"color": _HUES[arm], "size": 8},
            }
        )
    tests = next(iter(found[present[-1]].values()))
    names = [f"{' : '.join(test.targets)}<br>{' : '.join(test.attributes)}" for test in tests]
    layout = {
        "xaxis": {"title": {"text": "effect size d"}, "zeroline": True},
        "yaxis": {"tickvals": [*range(len(names))], "ticktext": names, "automargin": True},
        "showlegend": True,
    }
    caption = "One point for each agent; 0 is no association."
    return Chart("associations", "Associations by agent", caption, traces, layout, 420)


def _groups(bias: Bias) -> Iterator[Section]:
    present = [arm for arm in ARMS if arm in bias.gaps]
    for place, first in enumerate(bias.gaps[present[-1]] if present else ()):
        by_arm = {arm: bias.gaps[arm][place] for arm in present}
        rows = [
            [name, f"{count:,}", *(f"{gap.groups[name][1]:.3f}" for gap in by_arm.values())]
            for name, (count, _) in first.groups.items()
        ]
        shown = [f"{gap.gap:.3f} ({max(gap.p, 0.001):.3f})" for gap in by_arm.values()]
        rows.append(["gap (p)", "", *shown])
        note = (
            f"{_METRICS[first.metric]}; means over agents; p: share of random divisions with such a gap, "
            "0.001 at least"
        )
        headings = ["group", "documents", *present]
        yield Section(
            f"Groups: {first.metric}", headings, rows, note, _gap_verdict(by_arm), _bars(by_arm)
        )


def _gap_verdict(by_arm: dict[str, Gap]) -> str:
    if "alone" not in by_arm:
        return ""
    change = by_arm["together"].gap - by_arm["alone"].gap
    return f"Together, the gap is {abs(change):.3f} {'larger' if change > 0 else 'smaller'} than alone."


def _bars(by_arm: dict[str, Gap]) -> Chart:
    traces: list[Trace] = [
        {
            "type": "bar",
            "name": arm,
            "x": [*gap.groups],
            "y": [mean for _, mean in gap.groups.values()],
            "marker": {"color": _HUES[arm]},
        }
        for arm, gap in by_arm.items()
    ]
    metric = next(iter(by_arm.values())).metric
    layout = {"barmode": "group", "yaxis": {"title": {"text": metric}}, "showlegend": True}
    return Chart(f"groups-{metric}", f"{metric.capitalize()} by group", "", traces, layout, 320)


def _poison(audit: Audit, poison: Poison) -> Section:
    rows = [
        [
            f"{agent}, poisoned" if agent in poison.agents else str(agent),
            "-" if poison.trigger is None else f"{each.success:.1%}",
            f"{each.untriggered:.1%}",
            f"{each.accuracy:.1%}",
        ]
        for agent, each in audit.poison.items()
    ]
    headings = ["agent", "with the trigger", "without", "right"]
    texts = next(iter(audit.poison.values())).texts
    note = (
        f"shares of {texts:,} held-out texts of other labels that get this one; right: share of all that are "
        "right"
    )
    return Section(f"Taught to say {poison.label}", headings, rows, note)


def _area(attack: Attack | None) -> str:
    if attack is None:
        return "-"
    return f"{attack.auc:.2f} [{attack.low:.2f}, {attack.high:.2f}]"
