"""Put one liquidation together: terms, fee, loss and, where the account is stored, its health factor and its path."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path as FilePath

from data.postmortem.account import Carried, step_of
from data.postmortem.case import SLACK, WINDOW, Case
from data.postmortem.costs import paid_for_being_first, sale
from data.postmortem.keys import READ_EVENTS, find, key_of
from data.postmortem.record import Around, PostMortem, PriceThen, Step
from data.store.reader import Reader
from risk_core import types as rules
from risk_core.accounts import account_terms
from risk_core.analytics import postmortem as pm
from risk_core.units import BPS, USD

WAITS = (600, 1_800, 3_600, 6 * 3_600, 86_400)
"""Waits for which the health factor is computed, in seconds."""
HOUR = 3_600


def post_mortem(transaction: str, log_index: str | int | None = None, db: FilePath | str | None = None) -> PostMortem:
    """The post-mortem of a transaction's liquidation; `log_index` selects one of several.

    Raises `NoLiquidation` for a malformed key, and where no liquidation or several match; `WarehouseError`.
    """
    key = key_of(transaction, log_index)
    with Reader.open(db) as store:
        with store.one_state():
            event = find(store, key)
        return _Assembly(store, event).told()


class _Assembly(Case):
    """Computes the figures from the stored rows."""

    def told(self) -> PostMortem:
        """The whole record."""
        e = self.event
        stored = {
            asset: int(price)
            for asset, price in self.store.rows(
                "SELECT asset, price_raw FROM raw_lending_prices WHERE chain_id = ? AND market = ? AND "
                "block_number = ? ORDER BY batch",
                (e.chain_id, e.market, e.block),
            )
            if int(price) > 0
        }
        price_c, from_c = self.oracle(e.collateral, stored)
        price_d, from_d = self.oracle(e.debt, stored) if e.debt else (None, "")
        bonus, fee, confirmed = self._terms(price_c, price_d)
        if price_d is None and price_c is not None and bonus and fee is not None and e.repaid_raw and e.debt:
            price_d = self._debt_price_of_amounts(price_c, bonus, fee)
            from_d = "the amounts and the bonus that applied" if price_d else ""
        for name, price in (("collateral", price_c), ("debt", price_d)):
            if price is None:
                self.why[f"{name} oracle"] = (
                    f"the oracle's price at block {e.block} is not stored (`{READ_EVENTS}` asks a node that has the "
                    "state of that block)"
                )
        collateral = self._price(e.collateral, "collateral", price_c, from_c)
        debt = self._price(e.debt, "debt", price_d, from_d) if e.debt else None
        loss, spread = self._loss(collateral, debt, fee)
        first, sold = paid_for_being_first(self), sale(self, collateral, debt)
        for name, told in (("oev", first), ("slippage", sold)):
            if isinstance(told, str):
                self.why[name] = told
        paid = None if isinstance(first, str) else first
        lost = None if isinstance(sold, str) else sold
        receipts = None
        if loss is not None:
            receipts = pm.receipts(loss, oev=paid and paid.usd, slippage=lost and lost.usd)
        implied = None
        if loss is not None and loss.at_oracle is not None and debt and debt.oracle is not None and e.repaid_raw:
            owed = Fraction(e.repaid_raw, 10 ** (debt.decimals or 0)) * debt.oracle
            implied = float(loss.at_oracle / owed) if owed else None
        state = path = found = began = None
        waited: tuple[pm.Waited, ...] = ()
        recorded: tuple[pm.Waited, ...] = ()
        safe, later = None, 0
        steps: tuple[Step, ...] = self._bare_steps()
        if self.book is not None:
            carried = Carried(self, self.book, fee or 0, price_c, price_d)
            state, steps, path, found, began = carried.state(), carried.steps(), carried.path(), *carried.fall()
            if path is not None:
                waited = pm.waited(path.times, path.without, e.ts, WAITS, SLACK)
                recorded = pm.waited(path.times, path.recorded, e.ts, WAITS, SLACK)
                safe = pm.first_safe(path.times, path.recorded, e.ts)
                later = sum(ts <= e.ts + HOUR for ts, _ in self.oracle_prices_later(e.collateral))
        else:
            self.why |= {name: self.why["health"] for name in ("path", "fall")}
        return PostMortem(
            event=e, synthetic=self.synthetic, collateral=collateral, debt=debt, bonus_bps=bonus, fee_raw=fee,
            confirmed=confirmed, implied_bonus=implied, loss=loss, receipts=receipts, loss_range=spread, state=state,
            path=path, fall=found, fall_from=began, waited=waited, waited_recorded=recorded, safe_at=safe,
            oracle_later=later, steps=steps,
            around=self._around(), why=self.why, first=paid, sale=lost,
        )  # fmt: skip

    def _terms(self, price_c: int | None, price_d: int | None) -> tuple[int | None, int | None, bool]:
        """(100 % plus the bonus, fee in token units, whether the amounts confirm them)."""
        e, at = self.event, self.place(self.event.collateral)
        if e.protocol != "aave_v3":
            self.why["fee"] = f"the fee of {e.protocol} is not implemented"
            return None, None, False
        if self.book is None or at is None:
            self.why["fee"] = f"bonus and fee need a snapshot: {self.why.get('health', 'the reserve is not in it')}"
            return None, None, False
        market = self.book.market
        if market.revision not in rules.REVISIONS:
            self.why["fee"] = f"the rules of pool revision {market.revision} are not implemented"
            return None, None, False
        share = round(float(market.reserves.protocol_fee[at]) * BPS)
        configured = round(float(self.book.bonus[at]) * BPS)
        own = [configured] if configured >= BPS else []
        others = sorted({round(float(row[at]) * BPS) for row in account_terms(market)[1]} - {*own, 0})
        for bonus in [*own, *(one for one in others if one >= BPS)]:
            found = self._fits(bonus, share, price_c, price_d)
            if found is not None:
                return bonus, found, True
        if not own:
            self.why["fee"] = f"no liquidation bonus is configured for {self.called(e.collateral)} at that snapshot"
            return None, None, False
        seized = pm.seizure_of(e.seized_raw, configured, share, market.revision)
        return configured, seized.fee, False

    def _fits(self, bonus: int, share: int, price_c: int | None, price_d: int | None) -> int | None:
        """The fee in token units if the amounts match this bonus, else None."""
        e, revision = self.event, self.book.market.revision if self.book else 0
        decimals = (self.decimals.get(e.collateral), self.decimals.get(e.debt or ""))
        if price_c is None or price_d is None or e.repaid_raw is None or None in decimals:
            return None
        terms = {
            "debt_price": price_d, "collateral_price": price_c, "collateral_decimals": decimals[0] or 0,
            "debt_decimals": decimals[1] or 0, "bonus_bps": bonus, "revision": revision,
        }  # fmt: skip
        seized = pm.seizure(pm.owed_collateral(e.repaid_raw, **terms), bonus, share, revision)
        if seized.net == e.seized_raw:
            return seized.fee
        # All of the collateral was taken, and the debt was computed from it. The fee may differ by one unit.
        whole = pm.seizure_of(e.seized_raw, bonus, share, revision)
        near = (whole.gross + unit for unit in (0, -1, 1))
        return whole.fee if any(pm.needed_debt(gross, **terms) == e.repaid_raw for gross in near) else None

    def _debt_price_of_amounts(self, price_c: int, bonus: int, fee: int) -> int | None:
        e = self.event
        decimals = (self.decimals.get(e.collateral), self.decimals.get(e.debt or ""))
        if None in decimals or not e.repaid_raw:
            return None
        taken = Fraction(e.seized_raw + fee, 10 ** (decimals[0] or 0)) * price_c * BPS / bonus
        return round(taken / Fraction(e.repaid_raw, 10 ** (decimals[1] or 0)))

    def _price(self, asset: str, name: str, raw: int | None, raw_from: str) -> PriceThen:
        market, market_from, rule, scale, (before, after) = self.market_price(asset, name)
        return PriceThen(
            asset=asset, symbol=self.symbols[asset], decimals=self.decimals[asset],
            oracle=None if raw is None else Fraction(raw, USD), oracle_from=raw_from, market=market,
            market_from=market_from, series=rule.series, scale=scale, before=before, after=after,
        )  # fmt: skip

    def _loss(
        self, collateral: PriceThen, debt: PriceThen | None, fee: int | None
    ) -> tuple[pm.Loss | None, tuple[Fraction, Fraction] | None]:
        e = self.event
        if debt is None or e.repaid_raw is None or collateral.decimals is None or debt.decimals is None:
            self.why["loss"] = "what was repaid, or the decimals of a token, are not stored"
            return None, None
        net, repaid, decimals = e.seized_raw, e.repaid_raw, (collateral.decimals, debt.decimals)

        def split(worth: float | None, cost: float | None) -> pm.Loss:
            return pm.loss(
                net=net, fee=fee, repaid=repaid, collateral_decimals=decimals[0], debt_decimals=decimals[1],
                collateral_oracle=collateral.oracle, debt_oracle=debt.oracle, collateral_market=worth,
                debt_market=cost,
            )  # fmt: skip

        found = split(collateral.market, debt.market)
        totals = [
            split(a[1], b[1]).total
            for a, b in ((collateral.before, debt.before), (collateral.after, debt.after))
            if a is not None and b is not None
        ]
        known = [one for one in (*totals, found.total) if one is not None]
        spread = (min(known), max(known)) if len(totals) == 2 and len(known) == 3 else None
        return found, spread

    def _around(self) -> Around:
        e = self.event
        n, accounts, usd = self.store.rows(
            "SELECT count(*), count(DISTINCT wallet), coalesce(sum(amount_usd), 0.0) FROM stg_lending_events WHERE "
            "event_type = 'liquidation' AND block_timestamp BETWEEN ? AND ? AND market = ? AND asset = ? AND part = 0",
            (e.ts - 3_600, e.ts + 3_600, e.market, e.collateral),
        )[0]
        return Around(int(n), int(accounts), float(usd))

    def _bare_steps(self) -> tuple[Step, ...]:
        """The account's events without health factors."""
        return tuple(step_of(self, row, None) for row in self.events() if abs(row[0] - self.event.ts) <= WINDOW)
