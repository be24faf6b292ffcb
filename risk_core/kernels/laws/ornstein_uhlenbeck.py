"""Mean reversion of the log price."""

from __future__ import annotations

from risk_core.kernels._jit import inner

DECAY = 0


@inner
def levels(draw, n_steps, z):
    """Each step keeps a part of the level; the drift pulls to the mean, and the normal move in `z` comes on top."""
    for f in range(draw.drift.shape[0]):
        level = 0.0
        drift = draw.drift[f]
        decay = draw.parameters[DECAY, f]
        for t in range(n_steps):
            level = decay * level + (z[f, t] + drift)
            z[f, t] = level
