"""Which dollar moved when USDC and USDT differ: a third quote decides, or it stays "not decided". Reads nothing.

Every price is quoted in USDT, and USD is needed. One USDT counts as one USD while USDCUSDT is within `PEG_TOLERANCE`
of 1. Beyond that the ratio alone has two readings: USDC moved and one USDT is still one USD, or USDT moved and one USDC
is. A third quote in dollars decides for the reading that is nearer to it. Where there is none, or where quotes
contradict each other, nothing is corrected.

Whichever it is, all prices of one moment, USDC's included, are converted at one rate, so the quotient of any two of
them is the traded one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

PEG = "USDCUSDT"
"""The traded pair that says how far the two dollars are apart."""
PEG_TOLERANCE = 0.002
PLAUSIBLE_PEG = (0.5, 2.0)
"""USDCUSDT outside this is no dollar pair at all (a test server, a relisted name): then nothing is corrected by it."""
QUOTE_ERROR = 0.0025
"""Relative error that a quote may have: the threshold below which Chainlink's feeds of the two do not update."""
NOT_DECIDED = "not decided"
"""`usd_decided_by` of a price whose moment has two readings and no quote that tells them apart."""
USDT_HELD, USDC_HELD = "USDT", "USDC"
"""`usd_proxy`: which of the two counts as one USD."""


class Quote(NamedTuple):
    """A price in USD of one of the two: `of` is USDC or USDT; `name`: its source, such as "chainlink USDC/USD"."""

    name: str
    of: str
    price: float


class Decision(NamedTuple):
    """`proxy`: USDT or USDC, the one that counts as 1 USD at USDCUSDT of `ratio`; `by`: a quote or `NOT_DECIDED`."""

    ratio: float
    proxy: str
    by: str


def is_apart(ratio: float) -> bool:
    """Whether USDCUSDT is plausible and more than the tolerance off 1, so that a decision is needed.

    >>> is_apart(0.8726), is_apart(0.999), is_apart(37.5)
    (True, False, False)
    """
    return PLAUSIBLE_PEG[0] < ratio < PLAUSIBLE_PEG[1] and abs(1.0 / ratio - 1.0) > PEG_TOLERANCE


def verdict(ratio: float, quote: Quote) -> str | None:
    """The dollar that kept its value according to one quote, USDT or USDC; None where the quote fits neither.

    A quote implies what one USDT is worth. On a logarithmic scale that has 0 where USDT held and 1 where USDC did, it
    decides for the nearer of the two, if it is within a half of it, and if the other is out of reach of its error.

    >>> verdict(1.003, Quote("x", "USDT", 0.9985)) is None  # half-way
    True
    >>> verdict(0.8726, Quote("chainlink USDC/USD", "USDC", 0.88)), verdict(0.8726, Quote("x", "USDC", 0.999))
    ('USDT', 'USDC')
    """
    if not (math.isfinite(quote.price) and quote.price > 0):
        return None
    usdt = quote.price if quote.of == "USDT" else quote.price / ratio
    apart = -math.log(ratio)
    place = math.log(usdt) / apart
    if max(abs(place), abs(place - 1.0)) * abs(apart) <= QUOTE_ERROR:
        return None
    if abs(place) < 0.5:
        return USDT_HELD
    return USDC_HELD if abs(place - 1.0) < 0.5 else None


def decide(ratio: float, quotes: Iterable[Quote]) -> Decision:
    """The reading that all quotes with a verdict agree on, by the first of them; undecided without one.

    Undecided counts one USDT as one USD: the price as it was traded, without a correction.
    """
    found = [(decision, quote.name) for quote in quotes if (decision := verdict(ratio, quote))]
    if not found or len({decision for decision, _ in found}) > 1:
        return Decision(ratio, USDT_HELD, NOT_DECIDED)
    return Decision(ratio, *found[0])


def known(ratio: float, at: int, decisions: Mapping[int, Decision]) -> Decision | None:
    """The decision that holds for USDCUSDT of `ratio` at a time; None where no decision is needed.

    A decision that was made for another ratio (the candle was corrected since) is ignored.
    """
    if not is_apart(ratio):
        return None
    made = decisions.get(at)
    return made if made is not None and made.ratio == ratio else Decision(ratio, USDT_HELD, NOT_DECIDED)


def readings(ratio: float) -> str:
    """Both readings of an undecided ratio, in words.

    >>> readings(0.8)
    'USDCUSDT 0.8: USDC is 0.8 USD and USDT 1, or USDC is 1 USD and USDT 1.25'
    """
    return f"{PEG} {ratio:.6g}: USDC is {ratio:.6g} USD and USDT 1, or USDC is 1 USD and USDT {1 / ratio:.6g}"
