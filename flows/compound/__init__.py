"""Compound v2 and the Comets of v3, in the tables of an Aave snapshot."""
