"""Laws of price moves, their loops: one module a law, called through `dispatch` alone.

`levels` finds the correlated normals of one path in `z` (F rows, and row F free for the law) and leaves the log price
of each factor at the end of each step, over that at time 0. `statistics`, where a law has it, leaves what the weight of
a tilted path depends on beside its normals. Both read the law's numbers from `draw` (kernels.draw).
"""
