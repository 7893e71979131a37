"""Exchange strategies that speak about the public anchors."""
