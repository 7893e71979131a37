"""Studies: questions asked with AgentOS, and what came of them."""
