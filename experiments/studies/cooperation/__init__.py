"""Studies of agents that know or read little each, and of what they reach together."""

__all__: tuple[str, ...] = ()
