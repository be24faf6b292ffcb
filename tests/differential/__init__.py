"""Our rules against answers recorded from the real contracts: `python -m tests.differential FILE ...`."""
