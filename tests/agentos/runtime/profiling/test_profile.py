"""A profile: that it changes no number, and that its times are true."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from agentos import RunConfig, Simulation
from agentos.runtime.base import Runtime, Session
from agentos.runtime.host_calls import Answer, HostCall, NameMachine, Train
from agentos.runtime.profiling.profile import DETAILS, Clock, Profile, ProfiledSession
from agentos.runtime.profiling.trace_file import COORDINATOR, load_timeline, write_trace
from agents.hosting.tracing import Span, Traced
from protocols.errors import RecordError


class Elsewhere(Session):
    """Host 1 is on another machine, whose clock is 1,000 s ahead; calls take 20 ms there and back."""

    placement = {0: 0, 1: 1}

    def build(self, blueprint: Any) -> None:
        pass

    def call(self, calls: Mapping[int, HostCall[Answer]]) -> dict[int, Answer]:
        answers: dict[int, Any] = {}
        for host, call in calls.items():
            if isinstance(call, NameMachine):
                answers[host] = "elsewhere"
                continue
            time.sleep(0.01)
            now = time.monotonic() + 1000 * host
            answers[host] = Traced(host, now, now + 0.005, [Span("train", 3, now, now + 0.001)])
            time.sleep(0.015)
        return answers

    def close(self) -> None:
        pass


def test_profiled_session_passes_on_what_it_is_told() -> None:
    told: list[Any] = []

    class Told(Elsewhere):
        build = kill = lambda self, what: told.append(what)  # type: ignore[assignment]
        close = lambda self: told.append("close")  # type: ignore[assignment]  # noqa: E731
        revive = lambda self: (1,)  # type: ignore[assignment]  # noqa: E731

    profile, blueprint = Profile(), object()
    with ProfiledSession(Told(), profile) as session:
        session.build(blueprint)  # type: ignore[arg-type]
        session.kill(1)
        assert session.revive() == (1,)
        assert (session.placement, session.hosts) == ({0: 0, 1: 1}, (0, 1))
    assert told == [blueprint, 1, "close"]
    assert set(profile.clocks) == {0, 1}  # compared with those of the new hosts


def events(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["traceEvents"]
    return found


def test_clock_of_another_machine_is_bounded_by_its_calls(tmp_path: Path) -> None:
    profile = Profile()
    session = ProfiledSession(Elsewhere(), profile)
    assert session.call_all(Train(1)) == {0: 0, 1: 1}
    clock = profile.clocks[1]
    assert clock.least_s <= 1000 <= clock.most_s
    bounds = clock.ahead_s - clock.error_s, clock.ahead_s + clock.error_s
    assert bounds == pytest.approx((clock.least_s, clock.most_s))
    assert abs(clock.ahead_s - 1000) <= clock.error_s < 0.05
    write_trace(profile, tmp_path / "trace.json")
    timeline = load_timeline(tmp_path / "trace.json")
    assert timeline is not None
    assert timeline.clock_error_s == pytest.approx(max(c.error_s for c in profile.clocks.values()))
    assert max(s.ended_s for lane in timeline.lanes.values() for s in lane) < 5


def test_clocks_of_one_machine_are_one() -> None:
    import socket

    clock = Clock(socket.gethostname())
    clock.learn(5.0, 5.25, 6.0, 6.1)
    assert (clock.ahead_s, clock.error_s) == (0.0, 0.0)


def test_details_are_left_out_beyond_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    assert DETAILS > 1000
    monkeypatch.setattr("agentos.runtime.profiling.profile.DETAILS", 3)
    profile = Profile()
    spans = [Span("train", agent, 0.0, 1.0) for agent in range(5)]
    profile.add(Train, 0.0, 1.0, {0: Traced(None, 0.0, 1.0, [*spans, Span("d", None, 0.0, 1.0)])})
    assert (len(profile.spans), profile.left_out) == (4, 2)


@pytest.fixture(scope="module")
def profiled(
    small: Callable[..., RunConfig], cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """The folders of a run with a profile, and of the same run without."""
    folder = tmp_path_factory.mktemp("profiled")
    config = small()
    Simulation(config, out=folder / "with", cache=cache, profile=True).run()
    Simulation(config, out=folder / "without", cache=cache).run()
    return folder / "with", folder / "without"


def test_profile_changes_no_metric(profiled: tuple[Path, Path]) -> None:
    for name in ("metrics.jsonl", "isolated/metrics.jsonl", "config.yaml"):
        with_profile, without = ((folder / name).read_bytes() for folder in profiled)
        assert with_profile == without, name
    assert not (profiled[1] / "trace.json").exists()


def test_trace_holds_every_phase_and_agent(profiled: tuple[Path, Path]) -> None:
    found = events(profiled[0] / "trace.json")
    spans = [event for event in found if event["ph"] == "X"]
    phases = {"train", "compose", "deliver", "merge", "evaluate", "wait", "coordinate", "save"}
    assert phases <= {event["cat"] for event in spans}
    assert {e["args"]["agent"] for e in spans if "agent" in e["args"]} == {0, 1, 2, 3}
    assert all(event["dur"] >= 0 and event["ts"] >= 0 for event in spans)
    # Two arms of two rounds and of the beginning.
    assert sum(event["ph"] == "i" and " done" in event["name"] for event in found) == 6


def test_lanes_are_filled_from_the_first_call_to_the_end(profiled: tuple[Path, Path]) -> None:
    from agentos.reporting.panels.profile_timeline import flat

    timeline = load_timeline(profiled[0] / "trace.json")
    assert timeline is not None
    assert timeline.clock_error_s is None
    assert next(iter(timeline.lanes)) == COORDINATOR
    for lane in timeline.lanes.values():
        pieces = flat(lane)
        whole = pieces[-1].ended_s - pieces[0].began_s
        assert sum(p.ended_s - p.began_s for p in pieces) == pytest.approx(whole, abs=0.005)


def test_report_shows_the_timeline_only_where_there_is_one(profiled: tuple[Path, Path]) -> None:
    with_profile, without = ((f / "report.html").read_text("utf-8") for f in profiled)
    assert "Time by phase</h2>" in with_profile
    assert '"timeline"' in with_profile
    assert "Time by phase" not in without


@pytest.mark.parametrize(
    "text", ["", "{}", '{"traceEvents": [1]}', '{"traceEvents": [{"name": 1}]}']
)
def test_damaged_trace_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "trace.json").write_text(text, encoding="utf-8")
    with pytest.raises(RecordError, match="damaged"):
        load_timeline(tmp_path / "trace.json")


@pytest.mark.slow
@pytest.mark.ray
def test_hosts_have_a_lane_each(
    small: Callable[..., RunConfig],
    warm: Runtime,
    cache: Path,
    tmp_path: Path,
    profiled: tuple[Path, Path],
) -> None:
    config = small().model_copy(update={"runtime": warm})
    Simulation(config, out=tmp_path / "run", cache=cache, profile=True).run()
    metrics = [(f / "metrics.jsonl").read_bytes() for f in (tmp_path / "run", profiled[0])]
    assert metrics[0] == metrics[1]
    timeline = load_timeline(tmp_path / "run" / "trace.json")
    assert timeline is not None
    assert len(timeline.lanes) == 1 + 3
