"""What was kept of runs, put together again: rows become trees, lists, differences and data sets. Pure; every view reads these."""
