from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentos.evaluation import Metric
from agentos.reporting.units import bytes_text, count_text, metric_text, seconds_text

PLAIN = Metric(name="m", higher_is_better=True, help="M.")
SHARE = Metric(name="s", higher_is_better=True, help="S.", percent=True)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1_000, "1.00 kB"),
        (12_345, "12.3 kB"),
        (999_499, "999 kB"),
        (999_500, "1.00 MB"),
        (9_999_999, "10.00 MB"),
        (2.5e15, "2.50 PB"),
        (4e18, "4000 PB"),
    ],
)
def test_bytes_text(size, text):
    assert bytes_text(size) == text


@given(st.integers(0, 10**20))
def test_bytes_text_is_right_to_three_figures(size):
    number, unit = bytes_text(size).split(" ")
    scale = 1000 ** ["B", "kB", "MB", "GB", "TB", "PB"].index(unit)
    assert float(number) * scale == pytest.approx(size, rel=0.005, abs=0.5)


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0"), (9_999, "9,999"), (10_000, "10.0 k"), (4_915_200, "4.92 M")]
)
def test_count_text(count, text):
    assert count_text(count) == text


@pytest.mark.parametrize(
    ("duration_s", "text"),
    [
        (0, "0.00 s"),
        (59.9, "59.9 s"),
        (59.96, "1 min 0 s"),
        (3599.4, "59 min 59 s"),
        (3599.6, "1 h 0 min"),
        (90_000, "25 h 0 min"),
    ],
)
def test_seconds_text(duration_s, text):
    assert seconds_text(duration_s) == text


@given(st.floats(0, 1e7))
def test_seconds_text_never_shows_sixty(duration_s):
    assert not re.search(r"(?<![\d.])60(\.0)? (s|min)", seconds_text(duration_s))


@pytest.mark.parametrize(
    ("value", "metric", "signed", "text"),
    [
        (0.4125, SHARE, False, "41.2%"),
        (0.0321, SHARE, True, "+3.2"),
        (-0.0321, SHARE, True, "\N{MINUS SIGN}3.2"),
        (-0.00001, PLAIN, False, "0.000"),
        (-0.00001, PLAIN, True, "+0.000"),
        (-3.2274, PLAIN, False, "\N{MINUS SIGN}3.227"),
        (66.42, PLAIN, False, "66.4"),
        (None, PLAIN, True, "\N{EN DASH}"),
    ],
)
def test_metric_text(value, metric, signed, text):
    assert metric_text(value, metric, signed=signed) == text
