"""Which agents do what a poisoned one was taught?"""

__all__: list[str] = []
