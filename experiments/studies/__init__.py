"""Studies: questions asked with AgentOS, each a sweep with statistics and tables."""

__all__: list[str] = []
