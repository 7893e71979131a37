"""The wire format: headers, framing, serialisation, and the checks that every receiver runs."""

__all__: list[str] = []
