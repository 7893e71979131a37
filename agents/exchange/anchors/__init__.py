"""Exchange strategies that send representations of public anchors."""
