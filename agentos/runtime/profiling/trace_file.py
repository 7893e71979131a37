"""``trace.json``: the profile of a run as Chrome trace events, for Perfetto and for the report.

One process, a thread for the coordinator and one for each host. On a host's thread lie its calls, each named
after its phase, with the fetching of messages (``deliver``) and single agents within them, and ``wait`` in
between; on the coordinator's, ``wait`` while it waits for hosts, ``coordinate`` in between, and ``start``
before the first call.

Format: Trace Event Format, Google, 2016; https://ui.perfetto.dev opens it.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from agentos.records.atomic_files import replacing
from agentos.runtime.profiling.profile import Profile
from agents.hosting.tracing import Span
from protocols.errors import RecordError

COORDINATOR = "coordinator"
WAIT, COORDINATE = "wait", "coordinate"
_MICRO = 1e6

Event = dict[str, Any]


class Stretch(NamedTuple):
    """A stretch of work of a host or the coordinator, in seconds since the profile began."""

    phase: str
    began_s: float
    ended_s: float


@dataclass(frozen=True)
class Timeline:
    """The content of a trace file about the coordinator and the hosts, without single agents.

    Attributes:
        lanes: name -> stretches of work, in the order in which they began; the coordinator first.
        clock_error_s: largest error of a host's clock; None where all share one.
    """

    lanes: dict[str, list[Stretch]]
    clock_error_s: float | None = None


def write_trace(profile: Profile, path: Path) -> None:
    """Write the trace file of a profile, whole or not at all.

    Raises:
        RecordError: it cannot be written.
    """
    with replacing(path) as draft, draft.open("w", encoding="utf-8") as file:
        file.write('{"displayTimeUnit": "ms", "otherData": ')
        file.write(json.dumps(_about(profile)) + ', "traceEvents": [\n')
        file.write(",\n".join(json.dumps(event) for event in _events(profile)))
        file.write("\n]}\n")


def load_timeline(path: Path) -> Timeline | None:
    """Read a trace file back; None where there is none.

    Raises:
        RecordError: it is damaged.
    """
    if not path.exists():
        return None
    try:
        trace = json.loads(path.read_text(encoding="utf-8"))
        lanes: dict[int, list[Stretch]] = {}
        names: dict[int, str] = {}
        for event in trace["traceEvents"]:
            if event["name"] == "thread_name":
                names[int(event["tid"])] = str(event["args"]["name"])
            elif event["ph"] == "X" and "agent" not in event["args"]:
                began = float(event["ts"]) / _MICRO
                stretch = Stretch(str(event["cat"]), began, began + float(event["dur"]) / _MICRO)
                lanes.setdefault(int(event["tid"]), []).append(stretch)
        errors = [clock["error_s"] for clock in trace["otherData"]["other_clocks"].values()]
        # A stretch that holds others comes before them, so that it is drawn beneath.
        ordered = {
            names[lane]: sorted(lanes[lane], key=lambda each: (each.began_s, -each.ended_s))
            for lane in sorted(lanes)
        }
        return Timeline(ordered, max(errors, default=None))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RecordError(
            f"{path} is damaged",
            expected="the trace events of a profile",
            actual=str(error)[:200],
            hint="remove it; a report needs none",
        ) from error


def _about(profile: Profile) -> dict[str, Any]:
    return {
        "program": "AgentOS",
        "clock": "seconds since the profile began, on the coordinator's clock",
        "other_clocks": {
            f"host {host}": {"ahead_s": clock.ahead_s, "error_s": clock.error_s}
            for host, clock in sorted(profile.clocks.items())
            if not clock.is_shared
        },
        "agent_spans_left_out": profile.left_out,
    }


def _events(profile: Profile) -> Iterator[Event]:
    hosts = sorted(profile.clocks)
    yield {"ph": "M", "name": "process_name", "pid": 0, "args": {"name": "AgentOS"}}
    yield _named(0, COORDINATOR)
    for host in hosts:
        yield _named(1 + host, f"host {host} on {profile.clocks[host].machine}")
    ends = [answered for _, _, answered in profile.calls]
    start, end = profile.began_s, max(ends, default=profile.began_s)
    calls = [(made, answered) for _, made, answered in profile.calls]
    for call, made, answered in profile.calls:
        yield _event(profile, 0, WAIT, made, answered, call=call.title())
    for began, ended in _gaps(start, end, calls):
        yield _event(profile, 0, "start" if began == start else COORDINATE, began, ended)
    for what, when in profile.marks:
        at = (when - start) * _MICRO
        yield {"ph": "i", "name": what, "pid": 0, "tid": 0, "s": "g", "ts": at, "args": {}}
    for host in hosts:
        yield from _host(profile, host, end)


def _host(profile: Profile, host: int, end: float) -> Iterator[Event]:
    ahead, lane = profile.clocks[host].ahead_s, 1 + host
    worked = [
        (call, began - ahead, ended - ahead)
        for each, call, began, ended in profile.worked
        if each == host
    ]
    for call, began, ended in worked:
        yield _event(profile, lane, call.phase, began, ended, call=call.title())
    start = min((began for _, began, _ in worked), default=end)
    for began, ended in _gaps(start, end, [(began, ended) for _, began, ended in worked]):
        yield _event(profile, lane, WAIT, began, ended)
    yield from (_span(profile, lane, span, ahead) for each, span in profile.spans if each == host)


def _span(profile: Profile, lane: int, span: Span, ahead: float) -> Event:
    began, ended = span.began_s - ahead, span.ended_s - ahead
    if span.agent is None:
        return _event(profile, lane, span.phase, began, ended)
    event = _event(profile, lane, span.phase, began, ended, agent=span.agent)
    return {**event, "name": f"{span.phase} agent-{span.agent}"}


def _gaps(
    start: float, end: float, stretches: Iterable[tuple[float, float]]
) -> Iterator[tuple[float, float]]:
    """Yield what lies between stretches, from start to end.

    Example:
        >>> list(_gaps(0, 9, [(1, 3), (3, 4), (6, 7)]))
        [(0, 1), (4, 6), (7, 9)]
    """
    ordered = [(start, start), *sorted(stretches), (end, end)]
    for (_, before), (after, _) in itertools.pairwise(ordered):
        if after > before:
            yield before, after


def _named(lane: int, name: str) -> Event:
    return {"ph": "M", "name": "thread_name", "pid": 0, "tid": lane, "args": {"name": name}}


def _event(
    profile: Profile, lane: int, phase: str, began: float, ended: float, **args: Any
) -> Event:
    at, took = (began - profile.began_s) * _MICRO, max(0.0, ended - began) * _MICRO
    return {
        "ph": "X",
        "name": phase,
        "cat": phase,
        "pid": 0,
        "tid": lane,
        "ts": round(at, 1),
        "dur": round(took, 1),
        "args": args,
    }
