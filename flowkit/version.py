"""Which flowkit this is. Knows nothing else."""

VERSION = "0.1.0"
