"""The verdict: the first sentence of a report, and the sentences that support it.

It states the sign of the difference, and the limits of the comparison.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from agentos.evaluation.base import Metric
from agentos.records.result import Quality
from agentos.records.views.outcome import Gain, Outcome
from agentos.reporting.units import bytes_text, metric_text

ONE_SEED = (
    "This is a single run with a single seed: repeat it with other seeds before you rely on it."
)


@dataclass(frozen=True)
class Verdict:
    """The answer of a run to whether cooperation helps.

    Args:
        tone: cooperation gained, lost, made no clear difference, or was not compared.
        headline: the answer, in one sentence.
        details: the sentences that support it.
    """

    tone: Literal["gain", "loss", "even", "open"]
    headline: str
    details: tuple[str, ...]


def verdict(result: Outcome) -> Verdict:
    """Return the verdict on a run, by its first metric."""
    metric, stopped = result.main, _stopped(result)
    if metric is None:
        return Verdict("open", "Nothing was evaluated in this run.", stopped)
    if metric.name not in result.together.mean:
        headline = "The run stopped before its agents were evaluated a second time."
        return Verdict("open", headline, (*stopped, _start(result, metric)))
    if result.control and result.gain:
        return _with_baseline(result, result.gain, metric)
    return _without_baseline(result, metric)


def _with_baseline(result: Outcome, gain: Gain, metric: Metric) -> Verdict:
    tone = _tone(gain, metric)
    answer = {
        "gain": "Working together helped",
        "loss": "Working together hurt",
        "even": "Working together made no clear difference",
    }[tone]
    arms = {"together": result.together, **result.controls}
    headline = f"{answer}: the agents' mean {metric.phrase} is {_each(arms, 'mean', metric)}"
    headline += f", for {bytes_text(result.bytes_sent)} sent." if result.bytes_sent else "."
    worst = f"The worst agent reaches {_each(arms, 'worst', metric)}."
    details = (
        *_stopped(result),
        _difference(result, gain, metric),
        worst,
        _start(result, metric),
        ONE_SEED,
    )
    return Verdict(tone, headline, tuple(filter(None, details)))


def _without_baseline(result: Outcome, metric: Metric) -> Verdict:
    after = result.together.mean[metric.name]
    before = result.before.mean.get(metric.name)
    if before is None:
        headline = f"The agents' mean {metric.phrase} is {metric_text(after, metric)}."
    else:
        verb = "rose" if after > before else "fell" if after < before else "stayed"
        headline = (
            f"The agents' mean {metric.phrase} {verb} from {metric_text(before, metric)} before "
            f"training to {metric_text(after, metric)}."
        )
    if result.isolated is None:
        why = "Without an isolated baseline, this run cannot show what cooperation added."
    else:
        why = (
            f"The isolated baseline was last evaluated in round {result.isolated_at}, the agents "
            f"together in round {result.compared_at}: the two cannot be compared."
        )
    lower = "" if metric.higher_is_better else f"Lower is better for {metric.phrase}."
    return Verdict("open", headline, tuple(filter(None, (*_stopped(result), lower, why))))


def _tone(gain: Gain, metric: Metric) -> Literal["gain", "loss", "even"]:
    unseen = metric_text(gain.mean, metric) == metric_text(0.0, metric)
    if unseen or metric.diagnostic or (gain.error is not None and not gain.clear):
        return "even"
    return "gain" if gain.mean > 0 else "loss"


def _each(arms: Mapping[str, Quality], part: str, metric: Metric) -> str:
    """Return the mean or the worst value of every arm, in words."""
    values = {name: getattr(arm, part).get(metric.name) for name, arm in arms.items()}
    found = [f"{metric_text(value, metric)} {name}" for name, value in values.items()]
    return " and ".join(filter(None, (", ".join(found[:-1]), found[-1])))


def _difference(result: Outcome, gain: Gain, metric: Metric) -> str:
    unit = " points" if metric.percent else ""
    over = f" from agents {result.control}" if len(result.controls) > 1 else ""
    if metric_text(gain.mean, metric) == metric_text(0.0, metric):
        text = f"There is no difference{over} to three digits"
    else:
        size = metric_text(abs(gain.mean), metric).rstrip("%") + unit
        side = "in favour of" if gain.mean > 0 else "against"
        text = f"The difference{over} is {size} {side} working together"
    if gain.error is not None:
        error = metric_text(gain.error, metric).rstrip("%")
        text += f", with a standard error over agents of {error}{unit}"
    lower = "" if metric.higher_is_better else f" (lower {metric.phrase} is better)"
    return f"{text}{lower}; {gain.gained} of {gain.agents} agents gained."


def _start(result: Outcome, metric: Metric) -> str:
    if metric.name not in result.before.mean:
        return ""
    return f"Before training, the mean was {metric_text(result.before.mean[metric.name], metric)}."


def _stopped(result: Outcome) -> tuple[str, ...]:
    """Return a sentence on a run that did not finish; an empty text if it did."""
    if result.status == "finished":
        return ()
    plan = f" of {result.planned_rounds}" if result.planned_rounds else ""
    how = {"unfinished": "did not finish", "failed": "failed"}
    return (
        f"This run {how.get(result.status, f'was {result.status}')}: it reached round {result.rounds}{plan}, "
        f"and its agents were last evaluated in round {result.compared_at}.",
    )
