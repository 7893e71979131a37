"""The protocol between agents: messages, their wire format, codecs, topologies, and what they cost."""

__all__: list[str] = []
