"""Studies of learning on: learners on streams, the gate, and automatic labels."""

__all__: list[str] = []
