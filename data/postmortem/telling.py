"""A post-mortem as JSON and as lines for a terminal, with the same figures and the reasons for unknown ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

import numpy as np

from data.postmortem.record import Bar, First, PostMortem, PriceThen
from risk_core.analytics.postmortem import Waited

NOT_KNOWN = "not known"


def as_json(found: PostMortem) -> dict[str, Any]:
    """All figures, unrounded: money in USD, raw amounts as text, None for a figure whose reason is in `not_known`."""
    e = found.event
    event = asdict(e) | {
        "seized_raw": str(e.seized_raw),
        "repaid_raw": None if e.repaid_raw is None else str(e.repaid_raw),
        "fee_raw": None if found.fee_raw is None else str(found.fee_raw),
    }
    path = found.path
    record = {
        "is_synthetic": found.synthetic,
        "event": event,
        "collateral": _price(found.collateral, e.ts),
        "debt": None if found.debt is None else _price(found.debt, e.ts),
        "bonus": None if found.bonus_bps is None else found.bonus_bps / 10_000 - 1,
        "bonus_confirmed": found.confirmed,
        "bonus_of_amounts": found.implied_bonus,
        "loss_usd": None if found.loss is None else _floats(found.loss),
        "loss_range_usd": None if found.loss_range is None else [float(one) for one in found.loss_range],
        "received_usd": None if found.receipts is None else _floats(found.receipts),
        "paid_for_being_first": None if found.first is None else _first(found.first),
        "sale": None if found.sale is None else asdict(found.sale) | {"usd": float(found.sale.usd)},
        "state": None if found.state is None else asdict(found.state),
        "fall": None
        if found.fall is None
        else {
            "since": found.fall_from,
            "before": found.fall.before,
            "after": found.fall.after,
            "causes": {cause.name: cause.change for cause in found.fall.causes},
        },
        "waited": [asdict(one) for one in found.waited],
        "waited_with_the_oracle_as_recorded": [asdict(one) for one in found.waited_recorded],
        "saved_in_an_hour": found.saved_in_an_hour,
        "safe_at": found.safe_at,
        "path": None
        if path is None
        else {
            "ts": path.times,
            "without": path.without,
            "without_with_the_oracle_as_recorded": path.recorded,
            "actual": path.actual,
            "collateral_market_usd": path.market,
            "collateral_oracle_usd": path.oracle,
        },
        "steps": [asdict(one) for one in found.steps],
        "around": asdict(found.around),
        "not_known": dict(found.why),
    }
    return {name: _plain(value) for name, value in record.items()}


def _plain(value: Any) -> Any:
    """The value for JSON: lists for arrays, None for NaN and infinity."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _first(first: First) -> dict[str, Any]:
    """What was paid for being first: a lower bound; wei as text."""
    return {
        "at_least_usd": float(first.usd), "priority_fee_wei": str(first.priority_fee_wei),
        "sent_to_producer_wei": str(first.sent_wei), "eth_usd": float(first.eth_usd), "eth_usd_from": first.eth_from,
        "auctioned_update": first.auction,
    }  # fmt: skip


def _floats(record: Any) -> dict[str, float | None]:
    return {name: None if getattr(record, name) is None else float(getattr(record, name)) for name in record.__slots__}


def _price(price: PriceThen, ts: int) -> dict[str, Any]:
    """One asset's prices."""
    record = asdict(price) | {"oracle": None if price.oracle is None else float(price.oracle)}
    ages = {f"{name}_s": None if bar is None else ts - bar[0] for name, bar in _around(price)}
    return record | {"bars_age_s": ages}


def lines(found: PostMortem) -> list[str]:
    """The post-mortem for a terminal, one figure on each line."""
    e, loss, state = found.event, found.loss, found.state
    out = [
        f"liquidation of {e.wallet} in {e.market}" + (" (synthetic)" if found.synthetic else ""),
        f"  {_moment(e.ts)}, block {e.block:,}, log {e.log_index}, transaction {e.tx_hash}",
        f"  taken   {_amount(e.seized_raw, found.collateral)} by {e.liquidator or 'an unknown liquidator'}"
        + ("" if found.fee_raw is None else f", {_amount(found.fee_raw, found.collateral)} by the protocol"),
    ]
    if found.debt is not None and e.repaid_raw is not None:
        out.append(f"  repaid  {_amount(e.repaid_raw, found.debt)}")
    for price, name in ((found.collateral, "collateral"), (found.debt, "debt")):
        if price is not None:
            out += _price_lines(found, price, name)
    out.append("the borrower's loss, USD at market prices")
    if loss is None:
        out.append(f"  {NOT_KNOWN}: {found.why['loss']}")
    else:
        market = ("collateral market", "debt market")
        oracle = ("collateral oracle", "debt oracle")
        received = found.receipts
        rows: tuple[tuple[str, Fraction | None, Sequence[str]], ...] = (
            ("oracle error", loss.oracle_error, (*oracle, *market, "fee")),
            ("bonus to the liquidator", loss.bonus, oracle),
            ("protocol fee", loss.protocol_fee, ("fee", *oracle)),
            ("total", loss.total, ("fee", *market)),
            ("paid for being first (OEV)", received.oev if received else None, ("oev",)),
            ("slippage", received.slippage if received else None, ("slippage",)),
        )
        least = {
            "paid for being first (OEV)": found.first is not None,
            "slippage": found.sale is not None and bool(found.sale.lower_bound),
        }
        out += [
            f"  {name:27} {'at least ' if least.get(name) else ''}{_usd(value, found, names)}"
            for name, value, names in rows
        ]
        if found.loss_range is not None:
            low, high = (float(one) for one in found.loss_range)
            out.append(f"  {'total, by the bars around':27} {low:,.2f} to {high:,.2f}")
    if state is not None and state.before is not None:
        after = NOT_KNOWN if state.after is None else f"{state.after:.4f}"
        days = (state.block_time - e.ts) / 3_600
        events = "1 event" if state.n_events == 1 else f"{state.n_events} events"
        out.append(
            f"health factor {state.before:.4f} before, {after} after: snapshot at block {state.block:,}, "
            f"{abs(days):.1f} h {'later' if days > 0 else 'earlier'}, {events} between"
        )
    else:
        out.append(f"health factor {NOT_KNOWN}: {found.why.get('health', '')}")
    if found.fall is not None and found.fall_from is not None:
        out.append(f"what moved it from {found.fall.before:.4f} at {_moment(found.fall_from)}")
        out += [
            f"  {cause.name:27} {NOT_KNOWN if cause.change is None else f'{cause.change:+.4f}'}"
            for cause in found.fall.causes
        ]
    else:
        out.append(f"what made it fall {NOT_KNOWN}: {_reason(found, 'fall')}")
    out.append("had everyone waited")
    pairs = zip(found.waited, found.waited_recorded, strict=True)
    out += [f"  {_wait(one.wait):8} {_saved(one)}; oracle as recorded: {_saved(recorded)}" for one, recorded in pairs]
    if not found.waited:
        out.append(f"  {NOT_KNOWN}: {_reason(found, 'path')}")
    return out


def _price_lines(found: PostMortem, price: PriceThen, name: str) -> list[str]:
    oracle = (
        f"{NOT_KNOWN}: {found.why[f'{name} oracle']}"
        if price.oracle is None
        else f"{float(price.oracle):,.8g} USD ({price.oracle_from})"
    )
    bars = ", ".join(
        f"bar {abs(found.event.ts - bar[0])} s {where}" for where, bar in _around(price) if bar is not None
    )
    worth = (
        f"{NOT_KNOWN}: {found.why[f'{name} market']}"
        if price.market is None
        else f"{price.market:,.8g} USD ({price.market_from}; {bars})"
    )
    return [f"{name} {price.symbol}", f"  oracle  {oracle}", f"  market  {worth}"]


def _around(price: PriceThen) -> tuple[tuple[str, Bar | None], ...]:
    return ("before", price.before), ("after", price.after)


def _reason(found: PostMortem, name: str) -> str:
    """The reason, unless the line of the health factor has it already."""
    why = found.why.get(name, "")
    return "for the same reason" if why == found.why.get("health") else why


def _usd(value: Fraction | None, found: PostMortem, names: Sequence[str]) -> str:
    if value is not None:
        return f"{float(value):,.2f}"
    reasons = dict.fromkeys(found.why[name] for name in names if name in found.why)
    return f"{NOT_KNOWN}: {'; '.join(reasons)}"


def _amount(raw: int, price: PriceThen) -> str:
    if price.decimals is None:
        return f"{raw} units of {price.symbol}"
    return f"{raw / 10**price.decimals:,.6f} {price.symbol}"


def _saved(one: Waited) -> str:
    if one.saved is None:
        return f"{NOT_KNOWN}, no price that near"
    return f"{'saved' if one.saved else 'not saved'} at {one.health_factor:.4f}"


def _wait(seconds: int) -> str:
    return f"{seconds // 3_600} h" if seconds >= 3_600 else f"{seconds // 60} min"


def _moment(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
