"""Every optimisation that exists for one kind of processor, and nothing else."""
