"""Exchange strategies that learn from summaries of private texts."""
