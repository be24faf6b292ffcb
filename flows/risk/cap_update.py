"""Flow `cap-update`: an update of the cap on a token's ratio, before it is made.

Does it bind, by how much and from when, who falls at once, and which rule of the contracts would refuse it. Exact,
every account; the incident of 10 March 2026 was an update that nobody had asked this of.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime

import pandas as pd

from data import load_market
from data.oracle_adapters import load_adapters
from data.store import Store
from flows.errors import WrongOption
from flows.pipeline import recorded
from flows.risk.options import CapUpdateOptions
from flows.risk.report import amount
from risk_core import InputError, Market, code_version
from risk_core.cap_updates import DECIMALS, CapProposal, cap_update
from risk_core.price_caps import UpdateLimits

SOURCE = "cap-update"
ETH = ("WETH", "ETH")
"""Symbols of the base of liquid staking tokens, tried where neither the market nor an option names a base."""


def run(arguments: CapUpdateOptions) -> str:
    """Check, store and report. Raises `WrongOption`, and what `load_market` raises."""
    if arguments.asset is None or arguments.snapshot_ratio is None:
        missing = "--asset" if arguments.asset is None else "--snapshot-ratio"
        raise WrongOption(
            f"{missing}: expected, such as `cap-update --asset wstETH --snapshot-ratio 1.1919 --growth 9.68`"
        )

    market = load_market(arguments.block, arguments.market)
    try:
        place = market.reserves.index(arguments.asset)
    except InputError as error:
        raise WrongOption(f"--asset: {error}") from None
    adapter = load_adapters(market).get(place)
    terms = adapter.terms if adapter else None
    if arguments.growth is None and terms is None:
        raise WrongOption("--growth: expected a number of per cent a year: the terms in force are not stored")
    growth = terms.max_yearly_growth_bps / 100 if arguments.growth is None and terms else arguments.growth or 0.0
    limits = UpdateLimits(
        minimum_delay=round(arguments.minimum_delay_days * 86_400), most_rise=round(arguments.most_rise / 100, 8)
    )
    ratio, known_by = arguments.ratio, "as stated"
    if ratio is None and adapter is not None and adapter.ratio is not None:
        ratio, known_by = adapter.ratio, f"as its provider said at block {adapter.block:,}"
    elif ratio is None:
        known_by = "by the oracle's prices, which a cap in force may hold down"
    try:
        found = cap_update(
            market, market.reserves.asset[place], arguments.snapshot_ratio, arguments.days_old, growth / 100,
            base=arguments.base or _usual_base(market, place),
            ratio=ratio, ratio_growth=arguments.ratio_growth / 100, present=terms, limits=limits,
            decimals=adapter.decimals if adapter else DECIMALS,
        )  # fmt: skip
    except InputError as error:
        raise WrongOption(str(error)) from None
    update, gap = found.update, found.gap
    row = {
        "market": market.snapshot.market,
        "block": market.snapshot.block,
        "block_time": market.snapshot.block_time,
        "asset": market.reserves.asset[place],
        "base": market.reserves.asset[market.reserves.index(found.base)],
        "snapshot_ratio": update.proposed.snapshot_ratio / found.unit,
        "snapshot_time": update.proposed.snapshot_timestamp,
        "max_yearly_growth": update.proposed.max_yearly_growth_bps / 10_000,
        "ratio": found.ratio,
        "ratio_growth": arguments.ratio_growth / 100,
        "largest_before": found.largest_before,
        "largest_after": found.largest_after,
        "price_move": update.move,
        "binds": int(update.binds),
        "binds_from": update.binds_from,
        "liquidated_accounts": found.n_falls,
        "repaid_usd": gap.repaid_usd if gap else 0.0,
        "borrower_loss_usd": gap.borrower_loss_usd if gap else 0.0,
        "deficit_usd": gap.first.deficit_usd if gap else 0.0,
        "refused_because": json.dumps(list(update.broken)),
        "code_version": code_version(),
        "is_synthetic": int(market.snapshot.synthetic),
    }
    digest = hashlib.sha256(json.dumps([row, market.snapshot.hash], sort_keys=True).encode()).hexdigest()
    frame = pd.DataFrame([{"proposal": digest} | row])
    frame = frame.astype({"largest_before": "float64", "binds_from": "Int64"})
    with Store.open() as store, recorded(store, "cap-update", dict(arguments)) as run:
        run.write(SOURCE, digest, {"mart_cap_update": frame}, scope={"proposal": digest})
    return "\n".join(report(found, market, known_by))


def _usual_base(market: Market, place: int) -> str | None:
    """None where the oracle's model names the base, else the market's ETH for a liquid staking token."""
    if market.reserves.ratio_of[place] >= 0 or not market.reserves.symbol[place].upper().endswith("ETH"):
        return None
    return next((s for s in ETH if s in market.reserves.symbol and s != market.reserves.symbol[place]), None)


def report(found: CapProposal, market: Market, known_by: str) -> list[str]:
    """The check in lines of text; known_by: where the ratio is from."""
    at, update = market.snapshot, found.update
    lines = ["SAMPLE: synthetic accounts and prices"] if at.synthetic else []
    lines += [
        f"{at.market}, block {at.block:,} of {_utc(at.block_time)}",
        f"cap of {found.symbol}: snapshot ratio {update.proposed.snapshot_ratio / found.unit:g} of "
        f"{_utc(update.proposed.snapshot_timestamp)}, growing {update.proposed.max_yearly_growth_bps / 100:g} % a year",
        "",
        f"  the ratio is {found.ratio:.6f} {found.base}, {known_by}",
        f"  the new cap lets {found.largest_after:.6f} through"
        + ("" if found.largest_before is None else f", the one in force {found.largest_before:.6f}"),
    ]
    if update.binds:
        lines.append(f"  IT BINDS: the oracle's price of {found.symbol} moves by {update.move:.2%} at once")
    elif update.binds_from is None:
        lines.append(f"  it does not bind: {update.headroom:.2%} of room, and the ratio does not outgrow it")
    else:
        lines.append(
            f"  it does not bind: {update.headroom:.2%} of room, until {_utc(update.binds_from)} at this growth"
        )
    if found.gap is not None and found.n_falls:
        gap = found.gap
        lines.append(
            f"  {found.n_falls:,} accounts are liquidated at once: {amount(gap.repaid_usd, 'USD')} repaid, "
            f"{amount(gap.seized_usd, 'USD')} of collateral taken; borrowers lose "
            f"{amount(gap.borrower_loss_usd, 'USD')} ({amount(gap.bonus_usd, 'USD')} of it the bonus), deficit "
            f"{amount(gap.first.deficit_usd, 'USD')}"
        )
    else:
        lines.append("  nobody is liquidated by it at today's prices")
    lines += [f"  refused: {rule}" for rule in update.broken] or ["  none of the contracts' rules refuses it"]
    if update.present is None:
        lines.append("  note: the terms in force are not stored, so its time and its rise were not compared with them")
    return [*lines, "Stored in mart_cap_update."]


def _utc(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"
