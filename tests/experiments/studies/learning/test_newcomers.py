"""The table of new agents: shares of the elders' quality and tokens, from made-up outcomes."""

from __future__ import annotations

from pathlib import Path

from agentos.config.load import load
from agentos.learning.transfer import Transfer
from experiments.studies.learning.newcomers import METRIC, SOCIETY, Newcomers, table


def outcome(elders: float, taught: float, scratch: float) -> Transfer:
    return Transfer(
        metrics=(),
        elders={METRIC: elders},
        taught={METRIC: taught},
        scratch={METRIC: scratch},
        elder_tokens=400.0,
        taught_tokens=100,
        scratch_tokens=100,
        directory=Path("run"),
    )


def test_rows_tell_shares_of_the_elders() -> None:
    found = [
        Newcomers(outcome(0.6, 0.57, scratch), outcome(0.6, 0.62, copied))
        for scratch, copied in ((0.48, 0.58), (0.5, 0.59))
    ]
    rows = table("tiny", found).splitlines()[2:]
    elders, taught, scratch, both, copied = (
        [cell.strip() for cell in row.split("|")[1:-1]] for row in rows
    )
    assert (elders[1], elders[3]) == ("100 %", "100 %")
    assert (taught[1], taught[2], taught[3]) == ("25 %", "57.0 ± 0.0", "95 %")
    assert scratch[3] == "82 %"
    assert 0 < float(taught[4]) < 0.1
    assert both[3] == "103 %"
    assert copied[2].startswith("58.5")


def test_society_of_the_study_is_a_valid_run() -> None:
    config = load("quickstart", [*SOCIETY, "seed=3"])
    assert (config.agents.total, config.seed, config.baseline.isolated) == (4, 3, False)
