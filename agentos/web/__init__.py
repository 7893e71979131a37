"""The live page: runs in progress and runs that ended, read from their folders and served to browsers."""

__all__: list[str] = []
