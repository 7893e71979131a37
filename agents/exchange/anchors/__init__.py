"""Exchange strategies that send representations of public anchors."""

__all__: list[str] = []
