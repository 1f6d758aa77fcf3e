"""Turn events and problems into text for people and for programs, one form a file; a view reads events and nothing else."""
