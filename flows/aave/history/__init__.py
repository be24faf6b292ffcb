"""Books of past blocks: an Aave v3 market at any block, rebuilt from its logs alone, without an archive node."""

from flows.aave.history.decoding import Happening, decode
from flows.aave.history.replay import Replay
from flows.aave.history.state import EModeBook, HistoryError, MarketBook, ReserveBook

__all__ = ["EModeBook", "Happening", "HistoryError", "MarketBook", "Replay", "ReserveBook", "decode"]
