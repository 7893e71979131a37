"""Numbers as texts for people: bytes, counts, durations, and the values of metrics."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from agentos.evaluation.base import Metric

MINUS = "\N{MINUS SIGN}"
ABSENT = "\N{EN DASH}"


def bytes_text(payload_bytes: float) -> str:
    """Return bytes in decimal units.

    Example:
        >>> bytes_text(999), bytes_text(1_234_567)
        ('999 B', '1.23 MB')
    """
    return _scaled(payload_bytes, ("B", "kB", "MB", "GB", "TB", "PB"))


def saved_text(payload_bytes: int, fp32_bytes: int) -> str:
    """Return the share of the bytes that a codec saved; negative if it added bytes.

    Example:
        >>> saved_text(25, 100), saved_text(101, 100)
        ('75.0%', '−1.0%')
    """
    share = 1 - payload_bytes / fp32_bytes if fp32_bytes else 0.0
    return f"{share:.1%}".replace("-", MINUS)


def count_text(count: float) -> str:
    """Return a count: whole below ten thousand, else rounded to three figures.

    Example:
        >>> count_text(9_876), count_text(1_234_567)
        ('9,876', '1.23 M')
    """
    if abs(count) < 10_000:
        return f"{count:,.0f}"
    return _scaled(count, ("", "k", "M", "G", "T", "P"))


def seconds_text(duration_s: float) -> str:
    """Return a duration in at most two units.

    Example:
        >>> seconds_text(0.234), seconds_text(12.34), seconds_text(161), seconds_text(7_260)
        ('0.23 s', '12.3 s', '2 min 41 s', '2 h 1 min')
    """
    if duration_s < 59.95:
        return f"{duration_s:.2f} s" if duration_s < 1 else f"{duration_s:.1f} s"
    if duration_s < 3599.5:
        minutes, seconds = divmod(round(duration_s), 60)
        return f"{minutes} min {seconds} s"
    hours, minutes = divmod(round(duration_s / 60), 60)
    return f"{hours:,} h {minutes} min"


def phases_text(phase_s: Mapping[str, float]) -> str:
    """Return the seconds of a run's phases, the longest first; those under one per cent are left out.

    Example:
        >>> phases_text({"training": 30.0, "evaluating": 9.9, "records": 0.1})
        'training 30.0 s (75%), evaluating 9.9 s (25%)'
    """
    total = sum(phase_s.values())
    longest = sorted(phase_s.items(), key=lambda phase: -phase[1])
    return ", ".join(
        f"{phase} {seconds_text(spent)} ({spent / total:.0%})"
        for phase, spent in longest
        if spent >= total / 100 > 0
    )


def short_seconds(duration_s: float) -> str:
    """Return a duration that may be far below a second, in three figures.

    Example:
        >>> short_seconds(4.56e-6), short_seconds(0.0123), short_seconds(161)
        ('4.56 µs', '12.3 ms', '2 min 41 s')
    """
    if duration_s >= 1:
        return seconds_text(duration_s)
    if duration_s >= 1e-3:
        return f"{1e3 * duration_s:.3g} ms"
    return f"{1e6 * duration_s:.3g} µs"


def sample_text(agents: Collection[int], documents: Collection[int] = ()) -> str:
    """Return what the scores of runs are means of.

    Args:
        agents: numbers of agents of the runs.
        documents: numbers of held-out documents, where they were recorded.

    Example:
        >>> sample_text({6}, {600})
        'n = 6 agents, each measured on up to 600 held-out documents'
        >>> sample_text({6, 12})
        'n = 6 to 12 agents'
    """
    text = f"n = {span(agents)} agent{'s' * (max(agents) > 1)}"
    return text + (
        f", each measured on up to {span(documents)} held-out documents" if documents else ""
    )


def span(counts: Collection[int]) -> str:
    """Return a number, or the least and the most of several.

    Example:
        >>> span({1_000}), span({6, 12, 9})
        ('1,000', '6 to 12')
    """
    least, most = min(counts), max(counts)
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"


def share_precision(texts: int) -> str:
    """Return how closely a share of some texts is known: its 95 % interval where it is widest, at one half.

    Example:
        >>> share_precision(600)
        '± 4.0 points'
    """
    return f"± {98 / max(1, texts) ** 0.5:.1f} points"


def metric_text(value: float | None, metric: Metric, *, signed: bool = False) -> str:
    """Return a metric's value: a percentage if it is a share, else about three figures.

    Example:
        >>> mrr = Metric(name="mrr", higher_is_better=True, help="Mean reciprocal rank.")
        >>> metric_text(0.41249, mrr), metric_text(-0.5, mrr, signed=True), metric_text(None, mrr)
        ('0.412', '−0.500', '–')
        >>> metric_text(0.5, Metric(name="hit", higher_is_better=True, help="Hit.", percent=True))
        '50.0%'
    """
    if value is None:
        return ABSENT
    if metric.percent:
        text = f"{100 * abs(value):.1f}" + ("" if signed else "%")
    else:
        text = f"{abs(value):.1f}" if abs(value) >= 10 else f"{abs(value):.3f}"
    negative = value < 0 and float(text.rstrip("%")) != 0
    return (MINUS if negative else "+" if signed else "") + text


def _scaled(value: float, units: tuple[str, ...]) -> str:
    """Return a value to three figures, with the unit of its power of a thousand."""
    step = 0
    while abs(value) >= 999.5 and step < len(units) - 1:
        value, step = value / 1000, step + 1
    decimals = 0 if step == 0 else max(0, 3 - len(str(int(abs(value)))))
    return f"{value:.{decimals}f} {units[step]}".rstrip()
