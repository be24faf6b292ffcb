"""Published numbers, reproduced: `python -m tests.vectors FILE ...`."""
