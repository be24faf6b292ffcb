"""Which price series each reserve follows: built-in rules by symbol and oracle, overridden by rows of `dim_asset`.

A reserve without a rule is refused by name: it is never silently given a volatility of zero.
"""

from __future__ import annotations

import csv
import re
from functools import cache
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from data.errors import UnmappedReserve
from data.snapshot.loading import newest
from data.store.reader import Reader

COLUMNS = ("market", "asset", "symbol", "series", "kind", "factor", "note")


class Rule(NamedTuple):
    """How a reserve's oracle price moves. `series` and `factor` are empty when `kind` is fixed."""

    series: str
    kind: str
    factor: str
    note: str


FIXED = Rule("", "fixed", "", "oracle fixed at 1 USD")
_ETH = Rule("ETHUSDT", "ratio", "ETH", "oracle description: a ratio to ETH/USD")
_BTC = Rule("BTCUSDT", "ratio", "BTC", "oracle description: a ratio to BTC/USD")
_USDT = Rule("USDT/USD", "ratio", "USDT", "oracle description: follows USDT/USD")
_USD = Rule("DAI/USD", "proxy", "USD", "principal token of a dollar stablecoin without a series; DAI stands in")

# First match wins. A fixed feed is fixed whatever the token, so these come before the symbol's own rule.
_FIXED_DESCRIPTIONS = (r"one usd", r"fixed .*")
_PRINCIPAL_TOKENS = ((r"PT[-_].*USDG.*", _USD), (r"PT[-_].*USDe?[-_].*", _USDT))
# For a token that no rule names: the pair in the description of its price adapter.
_DESCRIPTIONS = (
    (r"(?i).*\bETH ?/ ?USD\)?", _ETH),
    (r"(?i).*\bBTC ?/ ?USD\)?", _BTC),
    (r"(?i).*\bUSDT ?/ ?USD\b.*", _USDT),
)


@cache
def rules() -> dict[str, Rule]:
    """Built-in rules by token symbol (`asset_rules.csv`)."""
    text = (resources.files("data.prices") / "asset_rules.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
    return {row["symbol"]: Rule(row["series"], row["kind"], row["factor"], row["note"]) for row in rows}


def rule_for(symbol: str, description: str = "") -> Rule | None:
    """The built-in rule for a token, by the description of its price feed where that decides; None for none."""
    if any(re.fullmatch(pattern, description.strip(), flags=re.IGNORECASE) for pattern in _FIXED_DESCRIPTIONS):
        return FIXED._replace(note=f"oracle description: {description}")
    if symbol in rules():
        return rules()[symbol]
    for pattern, rule in _PRINCIPAL_TOKENS:
        if re.fullmatch(pattern, symbol, flags=re.IGNORECASE):
            return rule
    for pattern, rule in _DESCRIPTIONS:
        if re.fullmatch(pattern, description.strip()):
            return rule
    return None


def mapped_reserves(
    market: str | None = None, db: Path | str | None = None, block: int | None = None
) -> list[tuple[str, ...]]:
    """The rows of `asset_map`, for readers that do without pandas."""
    at = newest(market, db)
    number = at.block if block is None else block
    with Reader.open(db) as store:
        reserves = store.rows(
            "SELECT asset, symbol, price_description FROM raw_aave_reserves WHERE market = ? AND block = ? "
            "AND price_raw IS NOT NULL ORDER BY reserve_id",  # without a price a reserve is in no figure
            (at.market, number),
        )
        by_hand = {
            row[0]: Rule(*row[1:])
            for row in store.rows(
                "SELECT asset, series, kind, factor, note FROM dim_asset WHERE market = ? AND origin = 'user'",
                (at.market,),
            )
        }
    found: list[tuple[str, ...]] = []
    unmapped = []
    for asset, symbol, description in reserves:
        rule = by_hand.get(asset) or rule_for(symbol, description)
        if rule is None:
            unmapped.append(f"{symbol} ({asset}, feed {description!r})")
        else:
            found.append((at.market, asset, symbol, *rule))
    if unmapped:
        raise UnmappedReserve(
            f"{at.market} at block {number}: no price series for {', '.join(unmapped)}; add a row to dim_asset for "
            "each: data.prices.assets.set_series(market, asset, series=..., kind=..., factor=..., note=...)"
        )
    return found
