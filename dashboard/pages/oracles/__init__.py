"""How each price is made, and what happens when one is wrong."""
