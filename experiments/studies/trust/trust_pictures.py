"""Pictures of the study of trust: quality, bytes and leak of each exchange; how far a backdoor travels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from agentos.reporting.statistics import interval

Group = Sequence[Mapping[str, float]]
Cells = Mapping[tuple[str, tuple[str, ...]], Group]

HUES = ("#0072b2", "#d55e00", "#009e73")


def draw_leaks(cells: Cells, crossed: Mapping[str, str], shows: Mapping[str, str]) -> Figure:
    """Draw a row for each exchange, and a panel each for quality, bytes and membership.

    Args:
        cells: the figures of each cell over its seeds.
        crossed: the attack that uses what each exchange sends.
        shows: what each exchange shows; its rows stand together.
    """
    leaks = {names: group for (part, names), group in cells.items() if part == "leak"}
    corpora = list(dict.fromkeys(names[0] for names in leaks))
    drawn = {(kind, epsilon) for _, kind, epsilon in leaks}
    settings = sorted(drawn, key=lambda each: _order(each, shows))
    figure = Figure(figsize=(11, 1.4 + 0.26 * len(settings)), layout="constrained")
    axes = figure.subplots(1, 3, sharey=True)
    for place, (kind, epsilon) in enumerate(settings):
        for number, corpus in enumerate(corpora):
            group = leaks.get((corpus, kind, epsilon))
            if group is None:
                continue
            row = place + 0.14 * (2 * number - len(corpora) + 1)
            label = corpus if place == 0 else None
            for axis, name in zip(axes, ("quality", "bytes", crossed[kind]), strict=True):
                values = [each[name] for each in group]
                if any(values):  # the axis of bytes has no place for 0
                    _mark(axis, row, values, HUES[number], label)
    axes[0].set_yticks(range(len(settings)), [_title(*each, shows) for each in settings], size=8)
    axes[0].set_ylim(len(settings) - 0.5, -0.5)
    axes[0].set(xlabel="accuracy of nearest neighbours")
    axes[1].set(xlabel="bytes sent, all agents", xscale="log")
    axes[2].set(xlabel="membership from what crossed, AUC")
    axes[2].axvline(0.5, color="grey", linestyle="--", linewidth=0.8)
    for axis in axes:
        axis.grid(alpha=0.3)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(corpora))
    return figure


def draw_backdoor(cells: Cells) -> Figure:
    """Draw a row for each topology and fusion: who takes the trigger's class, and who is right."""
    found = {names: group for (part, names), group in sorted(cells.items()) if part == "backdoor"}
    figure = Figure(figsize=(9, 1.6 + 0.3 * len(found)), layout="constrained")
    axis = figure.subplots()
    shown = {
        "success": "other agents, trigger in front: the wished class",
        "untriggered": "other agents, no trigger: the wished class",
        "accuracy": "other agents: right",
    }
    for place, group in enumerate(found.values()):
        for number, (name, title) in enumerate(shown.items()):
            values, label = [each[name] for each in group], title if place == 0 else None
            _mark(axis, place + 0.2 * (number - 1), values, HUES[(1, 0, 2)[number]], label)
    axis.set_yticks(range(len(found)), [", ".join(names) for names in found], size=8)
    axis.set_ylim(len(found) - 0.5, -0.5)
    axis.set(xlabel="share of held-out texts", xlim=(-0.02, 1.02))
    axis.grid(alpha=0.3)
    figure.legend(loc="outside upper center", ncols=3, fontsize="small")
    return figure


def _mark(axis: Axes, row: float, values: Sequence[float], color: str, label: str | None) -> None:
    found = interval(values)
    spread = found.half_width if len(values) > 1 else None
    axis.errorbar(found.mean, row, xerr=spread, fmt="o", color=color, label=label, markersize=4)


def _order(setting: tuple[str, str], shows: Mapping[str, str]) -> tuple[str, str, float]:
    """Exchanges that show alike stand together, each without noise first, then with more and more."""
    kind, epsilon = setting
    return shows[kind], kind, -float(epsilon or "inf")


def _title(kind: str, epsilon: str, shows: Mapping[str, str]) -> str:
    return f"ε {float(epsilon):,.0f}" if epsilon else f"{kind} ({shows[kind]})"
