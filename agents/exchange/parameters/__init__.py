"""Exchange strategies that send model parameters."""
