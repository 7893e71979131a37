"""Choice of the agents that may exchange now, so that all happens in the order of simulated time.

An exchange of agent j at time t depends on j and on messages alone, so on the exchanges of its senders up
to t. It may be carried out as soon as none of them can still come to one before t: not those that are yet
to train (how long they take is known only then), nor those whose exchange is due earlier. Those that are
due at the very same time belong together, since a message without latency arrives at once. Everything
else may wait or not, and changes nothing; so as many as possible go at once, and hosts are called as
seldom as possible. It is the conservative rule of parallel discrete-event simulation.

Source: Chandy and Misra, Distributed Simulation: A Case Study in Design and Verification of Distributed
Programs, 1979.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping


def ready(
    due: Mapping[int, float], training: Collection[int], senders: Mapping[int, Collection[int]]
) -> list[int]:
    """Return the agents whose exchange may be carried out now, ascending.

    Where no agent is still to train, and some exchange is due, there is at least one.

    Args:
        due: when the exchange is due of each agent that has trained.
        training: agents that are yet to train.
        senders: of each agent.

    Example:
        >>> line = {0: [1], 1: [0, 2], 2: [1]}
        >>> ready({0: 1.0, 1: 5.0, 2: 3.0}, training=[], senders=line)
        [0, 2]
        >>> ready({1: 5.0, 2: 3.0}, training=[0], senders=line)
        [2]
    """
    chosen = {
        agent
        for agent, time in due.items()
        if not any(
            each in training or (each in due and due[each] < time) for each in senders[agent]
        )
    }
    while True:
        held = {
            agent
            for agent in chosen
            if any(due.get(each) == due[agent] and each not in chosen for each in senders[agent])
        }
        if not held:
            return sorted(chosen)
        chosen -= held
