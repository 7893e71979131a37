"""A fitted society: how it is made of agents and architectures, saved, read back, and asked."""

__all__: list[str] = []
