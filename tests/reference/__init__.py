"""Witnesses: slow, obvious answers to hold the engine against. They import nothing of the product."""
