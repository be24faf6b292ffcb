"""Everything that thinks, without a browser: pure functions of immutable arguments.

Amounts are US dollars, moves are relative (-0.18 is a fall by 18 %).
"""
