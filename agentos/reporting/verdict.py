"""A run in a few sentences, honest about the sign of the difference and what it cannot show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from agentos.evaluation import Metric
from agentos.reporting.outcome import Gain, Outcome, gain
from agentos.reporting.units import metric_text

ONE_SEED = (
    "This is one run with one seed: repeat it with other seeds before relying on the difference."
)


@dataclass(frozen=True)
class Verdict:
    """What a run says about working together.

    Args:
        tone: whether cooperation gained, lost, made no clear difference, or was not compared.
        headline: the answer, in one sentence.
        details: what it rests on, sentence by sentence.
    """

    tone: Literal["gain", "loss", "even", "open"]
    headline: str
    details: tuple[str, ...]


def verdict(result: Outcome, planned_rounds: int | None = None) -> Verdict:
    """Return the verdict on a run, by its first metric.

    Args:
        result: what came out.
        planned_rounds: rounds that the configuration asked for, if known.
    """
    stopped = _stopped(result, planned_rounds)
    metric = result.main
    if metric is None:
        return Verdict("open", "Nothing was evaluated in this run.", stopped)
    if metric.name not in result.together.mean:
        headline = "The run stopped before its agents were evaluated a second time."
        return Verdict("open", headline, (*stopped, _start(result, metric)))
    compared = result.fair and result.isolated and metric.name in result.isolated.mean
    if not compared:
        return _without_baseline(result, metric, stopped)
    return _with_baseline(result, metric, stopped)


def _with_baseline(result: Outcome, metric: Metric, stopped: tuple[str, ...]) -> Verdict:
    assert result.isolated is not None
    difference = gain(result.together, result.isolated, metric)
    if difference is None:
        return _without_baseline(result, metric, stopped)
    tone = _tone(difference, metric)
    answer = {
        "gain": "Working together helped",
        "loss": "Working together was worse",
        "even": "Working together made no clear difference",
    }[tone]
    mean = [metric_text(a.mean[metric.name], metric) for a in (result.together, result.isolated)]
    low = [metric_text(a.worst[metric.name], metric) for a in (result.together, result.isolated)]
    headline = f"{answer}: the agents' mean {metric.title} is {mean[0]} together, {mean[1]} alone."
    worst = f"The worst agent ends at {low[0]} together and at {low[1]} alone."
    details = (*stopped, _difference(difference, metric), worst, _start(result, metric), ONE_SEED)
    return Verdict(tone, headline, tuple(filter(None, details)))


def _without_baseline(result: Outcome, metric: Metric, stopped: tuple[str, ...]) -> Verdict:
    after = _mean(result, "together", metric)
    if metric.name in result.before.mean:
        change = result.together.mean[metric.name] - result.before.mean[metric.name]
        verb = "rose" if change > 0 else "fell" if change < 0 else "stayed"
        headline = (
            f"The agents' mean {metric.title} {verb} from {_mean(result, 'before', metric)} before "
            f"training to {after}."
        )
    else:
        headline = f"The agents' mean {metric.title} is {after}."
    if result.isolated is None:
        why = "No isolated baseline was evaluated, so this run cannot tell what cooperation added."
    else:
        why = (
            f"The isolated baseline was last evaluated in round {result.isolated_at}, the agents "
            f"together in round {result.compared_at}: the two do not compare."
        )
    lower = "" if metric.higher_is_better else f"Lower is better for {metric.title}."
    return Verdict("open", headline, tuple(filter(None, (*stopped, lower, why))))


def _tone(difference: Gain, metric: Metric) -> Literal["gain", "loss", "even"]:
    unseen = metric_text(difference.mean, metric) == metric_text(0.0, metric)
    if unseen or (difference.error is not None and not difference.clear):
        return "even"
    return "gain" if difference.mean > 0 else "loss"


def _difference(difference: Gain, metric: Metric) -> str:
    unit = " points" if metric.percent else ""
    size = metric_text(abs(difference.mean), metric).rstrip("%") + unit
    side = "in favour of" if difference.mean >= 0 else "against"
    text = f"The difference is {size} {side} working together"
    if difference.error is not None:
        error = metric_text(difference.error, metric).rstrip("%")
        text += f", with a standard error over agents of {error}{unit}"
    lower = "" if metric.higher_is_better else f" (lower {metric.title} is better)"
    return f"{text}{lower}; {difference.gained} of {difference.agents} agents gained."


def _start(result: Outcome, metric: Metric) -> str:
    if metric.name not in result.before.mean:
        return ""
    return f"Before training the mean was {_mean(result, 'before', metric)}."


def _stopped(result: Outcome, planned_rounds: int | None) -> tuple[str, ...]:
    if result.status == "finished":
        return ()
    plan = f" of {planned_rounds}" if planned_rounds else ""
    status = "did not finish" if result.status == "unfinished" else f"was {result.status}"
    status = "failed" if result.status == "failed" else status
    return (
        f"This run {status}: it came to round {result.rounds}{plan}, and its agents were last "
        f"evaluated in round {result.compared_at}.",
    )


def _mean(result: Outcome, arm: Literal["before", "isolated", "together"], metric: Metric) -> str:
    return metric_text(getattr(result, arm).mean.get(metric.name), metric)
