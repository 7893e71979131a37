"""Why an encoder answers as it does, whom it favours, and what it gives away."""

__all__: list[str] = []
