"""Alarms of a run, as its records grow and begin again."""

from __future__ import annotations

from agentos.web.alarms import KEPT, Alarms


def texts(alarms: Alarms) -> list[str]:
    return [alarm["text"] for alarm in alarms.as_json()["latest"]]


def test_pause_is_an_alarm_once_and_its_end_is_told() -> None:
    alarms, names = Alarms(), {"agent-0": "Ada"}
    pause = {"agent-0": "collapse", "agent-1": "drift"}
    for round, paused in enumerate((pause, pause, {}), 1):
        alarms.health({"round": round, "paused": paused}, names)
    assert texts(alarms) == [
        "Ada: exchange goes on",
        "agent-1: exchange goes on",
        "Ada: exchange paused, collapse",
        "agent-1: exchange paused, drift",
    ]
    assert alarms.as_json()["count"] == 2  # what goes on is good news


def test_source_that_begins_again_is_forgotten_alone() -> None:
    alarms = Alarms()
    line = {"round": 3, "paused": {"agent-0": "collapse"}}
    alarms.health(line, {})
    alarms.faults({"round": 4, "struck": {"drop": 1200}})
    alarms.forget("faults")
    alarms.health(line, {})  # the pause is known already
    assert (texts(alarms), alarms.as_json()["count"]) == (["agent-0: exchange paused, collapse"], 1)
    alarms.forget("health")
    assert alarms.as_json() == {"count": 0, "latest": []}
    alarms.health(line, {})
    assert alarms.as_json()["count"] == 1


def test_latest_alarms_are_kept_and_all_are_counted() -> None:
    alarms = Alarms()
    for round in range(1, KEPT + 6):
        alarms.rejected("together", round, 1 + round % 2, ["a"])
    found = alarms.as_json()
    assert found["count"] == KEPT + 5
    assert [alarm["round"] for alarm in found["latest"]] == list(range(KEPT + 5, 5, -1))
    assert found["latest"][0]["text"].startswith(("1 message rejected", "2 messages rejected"))


def test_long_lists_of_agents_are_cut() -> None:
    alarms = Alarms()
    for count in (2, 100):
        alarms.diverged("alone", count, [f"agent-{i}" for i in range(count)])
    long, short = texts(alarms)
    assert short == "agent-0, agent-1: numbers that are not finite"
    named = long.split(" and ")[0].count("agent-")
    assert f" and {100 - named} more: numbers" in long
    alarms.diverged("alone", 101, [f"agent-{i}" for i in range(named)])
    assert "more" not in texts(alarms)[0]
