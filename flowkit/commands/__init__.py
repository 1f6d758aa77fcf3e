"""The verbs of the command line, one a file: each holds `command`, which turns plain values into an exit code."""
