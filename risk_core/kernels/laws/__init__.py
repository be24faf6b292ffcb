"""The loops of the laws of price moves: one module for each law, called through `dispatch` only.

`levels` finds the correlated moves of one path in `z` (F rows, and row F free for the law), made of normals or of rows
of a history (`resampled`), and leaves the log price of each factor at the end of each step, over that at time 0.
`statistics`, where a law has it, leaves the other numbers
that the weight of a tilted path depends on. Both read the law's numbers from `draw` (kernels.draw).
"""
