"""Publish one stored figure of a risk run on a chain, in this project's contract."""
