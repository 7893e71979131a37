"""Studies of the tasks that a society works on."""

__all__: tuple[str, ...] = ()
