"""One stored liquidation in full: prices, loss, the borrower's health factor, and what waiting would have brought.

found = post_mortem("0x...")
found.loss.total, found.why["oev"]
"""

from data.postmortem.assembling import post_mortem
from data.postmortem.keys import key_of
from data.postmortem.record import PostMortem, PriceThen, State, Step
from data.postmortem.telling import as_json, lines

__all__ = ["PostMortem", "PriceThen", "State", "Step", "as_json", "key_of", "lines", "post_mortem"]
