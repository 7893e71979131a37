"""Text for the agents: read from a source, cleaned, split, partitioned and tokenised."""
