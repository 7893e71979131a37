"""Questions asked with AgentOS: the ready-made runs that ``agentos run NAME`` finds lie beside this file."""
