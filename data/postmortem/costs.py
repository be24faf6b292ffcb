"""What a liquidator paid out of its gain, as far as stored rows tell: for being first, and by selling what it took."""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

from data.foreign_text import marked
from data.postmortem.bars import FARTHEST
from data.postmortem.case import DAY, SYMBOL_LENGTH, Case
from data.postmortem.record import First, PriceThen, Sale, between
from data.quotes import AGE, Ladder, quotes_of
from risk_core import InputError
from risk_core.analytics import postmortem as pm
from risk_core.analytics.slippage import SlippageCurve, fit
from risk_core.units import USD

ETH_CHAINS = (1, 11_155_111)
"""Chains whose currency is ETH and whose blocks are built by those who pay most."""
WEI = 10**18
ETHER_SERIES = "ETHUSDT"
AUCTIONED = "0x8d530b9ddc4b318d28fdd4c3a21fcfecece54c1a72a824f262985b99afef009b"
"""Topic of `SecondaryRoundIdUpdated(uint32)`: an aggregator of Chainlink SVR has an auctioned answer."""
READ_BLOCK = "python -m flows chain-activity --start-block {block} --end-block {block}"
READ_QUOTES = "python -m flows sale-quotes --file FILE"


def paid_for_being_first(case: Case) -> First | str:
    """What the liquidation's transaction paid to the block's producer, or why that is not told.

    A lower bound: a payment inside a call, as searchers make to builders and SVR's auction asks for, leaves no log.
    """
    e = case.event
    if e.chain_id not in ETH_CHAINS:
        return f"fees of chain {e.chain_id} are not read: what is paid to a builder does not decide who is first there"
    rows = case.store.rows(
        "SELECT r.gas_used, r.effective_gas_price, b.base_fee_per_gas, r.block_hash, r.transaction_index "
        "FROM raw_chain_receipts AS r JOIN stg_chain_blocks AS b ON b.chain_id = r.chain_id AND b.block_number = "
        "r.block_number AND b.block_hash = r.block_hash AND b.orphaned = 0 WHERE r.chain_id = ? AND r.block_number = ? "
        "AND r.transaction_hash = ? ORDER BY r.batch DESC LIMIT 1",
        (e.chain_id, e.block, e.tx_hash),
    )
    if not rows and case.synthetic:
        return "the sample holds no receipt of its transaction"
    if not rows:
        return f"the transaction's receipt is not stored (`{READ_BLOCK.format(block=e.block)}`)"
    used, price, base, block_hash, index = rows[0]
    if price is None or base is None:
        return "the receipt has no price of gas, or the block no base fee"
    if int(price) < int(base):
        return f"the receipt is damaged: a price of gas of {int(price)} wei below the base fee of {int(base)}"
    ether, ether_from = _ether(case)
    if ether is None:
        return ether_from
    tip = pm.priority_fee(int(used), int(price), int(base))
    sent = _sent(case, block_hash)
    auctions = case.store.rows(
        "SELECT address FROM raw_chain_logs WHERE chain_id = ? AND block_number = ? AND block_hash = ? AND topic0 = ? "
        "AND transaction_index <= ? ORDER BY log_index DESC LIMIT 1",
        (e.chain_id, e.block, block_hash, AUCTIONED, index),
    )
    seen = case.store.rows(
        "SELECT 1 FROM raw_chain_logs WHERE chain_id = ? AND block_number = ? AND block_hash = ? LIMIT 1",
        (e.chain_id, e.block, block_hash),
    )
    return First(
        usd=Fraction(tip + sent, WEI) * ether, priority_fee_wei=tip, sent_wei=sent, eth_usd=ether, eth_from=ether_from,
        auction=str(auctions[0][0]) if auctions else "" if seen else None,
    )  # fmt: skip


def _sent(case: Case, block_hash: str) -> int:
    """Wei that the sender of the liquidation sent to the block's producer in transactions of that block."""
    e = case.event
    rows = case.store.rows(
        "SELECT t.value FROM raw_chain_transactions AS t JOIN raw_chain_transactions AS own ON own.chain_id = "
        "t.chain_id AND own.block_number = t.block_number AND own.block_hash = t.block_hash AND own.from_address = "
        "t.from_address JOIN raw_chain_blocks AS b ON b.chain_id = t.chain_id AND b.block_number = t.block_number AND "
        "b.block_hash = t.block_hash WHERE t.chain_id = ? AND t.block_number = ? AND t.block_hash = ? AND "
        "t.to_address = b.miner AND own.transaction_hash = ?",
        (e.chain_id, e.block, block_hash, e.tx_hash),
    )
    return sum(int(value) for (value,) in rows)


def _ether(case: Case) -> tuple[Fraction | None, str]:
    """(USD per ETH at the liquidation, where it is from), or (None, why it is not known)."""
    e = case.event
    rows = case.store.rows(
        "SELECT eth_usd_raw FROM raw_lending_prices WHERE chain_id = ? AND market = ? AND block_number = ? AND "
        "eth_usd_raw IS NOT NULL ORDER BY batch DESC LIMIT 1",
        (e.chain_id, e.market, e.block),
    )
    if rows and int(rows[0][0]) > 0:
        return Fraction(int(rows[0][0]), USD), f"the market's oracle at block {e.block}"
    price = between(*case.bars_of(ETHER_SERIES).around(e.ts), e.ts)
    if price is None:
        return None, f"no price of ETH within {FARTHEST // 3_600} h of the liquidation is stored"
    return Fraction(price), ETHER_SERIES


class _Way(NamedTuple):
    """Quoted sales one after the other, from the collateral on; `ends`: whether the last brings the debt's asset."""

    ladders: tuple[Ladder, ...]
    curves: tuple[SlippageCurve, ...]
    ends: bool


def sale(case: Case, collateral: PriceThen, debt: PriceThen | None) -> Sale | str:
    """What selling the collateral for the debt's asset lost, by the newest quotes before the liquidation, or why not.

    Sold in one pair where it is quoted, else in two, else in the quoted pair that loses least: the missing step then
    makes it a lower bound. Nothing quoted after the liquidation is looked at.
    """
    e = case.event
    if debt is None:
        return "which debt was repaid is not stored"
    if collateral.decimals is None or collateral.market is None:
        return case.why.get("collateral market", "the market's price of the collateral is not known")
    tokens = Fraction(e.seized_raw, 10**collateral.decimals)
    worth = tokens * Fraction(collateral.market)
    if collateral.asset == debt.asset:
        return Sale(
            usd=Fraction(0), share=0.0, size_usd=float(worth), through=(collateral.symbol,), quoted_at=None, sources=(),
            assumed=False, lower_bound="",
        )  # fmt: skip
    # Quotes are at the oracle's prices.
    size = float(tokens * (collateral.oracle if collateral.oracle is not None else Fraction(collateral.market)))
    assets = sorted({a for row in case.store.rows(
        "SELECT DISTINCT sold, bought FROM dim_quote_ladder WHERE market = ? AND is_synthetic = ?",
        (e.market, int(case.synthetic))) for a in row} | {collateral.asset, debt.asset})  # fmt: skip
    ladders = quotes_of(
        case.store, e.market, assets, synthetic=case.synthetic, first=e.ts - AGE, last=e.ts
    )  # fmt: skip
    ways = _ways(ladders, assets.index(collateral.asset), assets.index(debt.asset))
    names = f"{case.called(collateral.asset)} for {case.called(debt.asset)}"
    if not ways:
        return (
            f"no quote for selling {names} from the {AGE // DAY} days before the liquidation is stored "
            f"(`{READ_QUOTES}`)"
        )
    found = [(way, pm.sold_through(way.curves, size)) for way in ways]
    way, sold = min(found, key=lambda one: (not one[0].ends, one[1].slippage))
    reasons = []
    symbols = _symbols(case, assets, way)
    if sold.lower_bound:
        reasons.append("no quote is as large as the sale")
    if not way.ends:
        reasons.append(f"nobody quoted the step from {marked(symbols[-1], SYMBOL_LENGTH)} to the debt's asset")
    return Sale(
        usd=Fraction(sold.slippage) * worth, share=sold.slippage, size_usd=size, through=symbols,
        quoted_at=min(int(ladder.quoted_at.min()) for ladder in way.ladders),
        sources=tuple(dict.fromkeys(source for ladder in way.ladders for source in ladder.source)),
        assumed=any(bool(ladder.assumed.any()) for ladder in way.ladders), lower_bound="; ".join(reasons),
    )  # fmt: skip


def _ways(ladders: tuple[Ladder, ...], start: int, end: int) -> list[_Way]:
    """Ways to sell `start` that have a curve: for `end` directly, by one asset in between, or only part of the way."""
    curves: dict[tuple[int, int], tuple[Ladder, SlippageCurve]] = {}
    for ladder in ladders:
        try:
            curves[ladder.sold, ladder.bought] = ladder, fit(ladder.size_usd, ladder.received_usd).curve
        except InputError:
            continue  # quotes through which no curve can be drawn: the Liquidity page says which, and why
    out = []
    for (sold, bought), (ladder, curve) in curves.items():
        if sold != start:
            continue
        after = curves.get((bought, end))
        if bought == end:
            return [_Way((ladder,), (curve,), True)]
        if after is not None:
            out.append(_Way((ladder, after[0]), (curve, after[1]), True))
        else:
            out.append(_Way((ladder,), (curve,), False))
    return out


def _symbols(case: Case, assets: list[str], way: _Way) -> tuple[str, ...]:
    places = [way.ladders[0].sold, *(ladder.bought for ladder in way.ladders)]
    known = dict(case.symbols)
    if case.book is not None:
        reserves = case.book.market.reserves
        known = dict(zip(reserves.asset, reserves.symbol, strict=True)) | known
    return tuple(known.get(assets[place], assets[place]) for place in places)
