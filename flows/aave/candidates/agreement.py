"""Whether two routes give the same figures, and whether accounts are missing. Findings go to `fact_validation`.

Bounds, and why they are not zero:

| compared | agrees when |
|---|---|
| scaled balances, subgraph and chain | within `ROUNDING_UNITS` or `ROUNDING_SHARE`: an indexer divides each event's amount by an index once more, and pools since v3.5 round each of these divisions in their favour |
| collateral flag, e-mode, risk parameters, indices, rates, last update | equal |
| reserves | at most the share `MOST_RESERVES_APART` differs; the stored values are the chain's, the differences are in `fact_validation` |
| price of a reserve | within `PRICE_SHARE`: an indexer stores a price when a feed emits it, the chain computes it at the block |
| sum of scaled balances and scaledTotalSupply | missing at most the share that the caller allows, or worth less than `DUST_USD` |
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from flows.aave.accounts import Account
from flows.aave.candidates.subgraph import GraphPosition, GraphReserve
from flows.aave.contracts import Reserve
from flows.errors import CrossCheckFailed
from flows.pipeline import Finding
from risk_core.units import RAY, USD

ROUNDING_UNITS = 1_000
ROUNDING_SHARE = 10**9
"""The share is one over this."""
PRICE_SHARE = 0.02
DUST_USD = 1.0
MOST_RESERVES_APART = 0.2
"""Share of the reserves that may differ: some prices and dropped reserves do; at another block most differ."""


class RoutesDisagree(CrossCheckFailed):
    """Two routes to the same figures differ by more than their bound."""


class AccountsMissing(CrossCheckFailed):
    """The known accounts hold less than the tokens' supplies."""


@dataclass(frozen=True, slots=True)
class Shortfall:
    """Part of one token's scaledTotalSupply that no known account holds; `expected`, `found` in scaled token units."""

    symbol: str
    side: str
    expected: int
    found: int
    usd: float

    @property
    def share(self) -> float:
        """The missing part, as a share of the expected amount."""
        return (self.expected - self.found) / self.expected

    def __str__(self) -> str:
        return f"{self.symbol} {self.side} {self.share:.4%} ({self.usd:,.0f} USD)"


@dataclass(slots=True)
class FieldAgreement:
    """Result of comparing one figure over all rows: equal, equal up to rounding, or different; the worst example."""

    name: str
    compared: int = 0
    rounding: int = 0
    different: int = 0
    example: str = ""
    _worst: int = field(default=-1, repr=False)

    def number(self, about: str, indexed_value: int, chain_value: int, *, exact: bool = False) -> None:
        """Compare and count one pair of integers; `exact`: rounding counts as a difference."""
        self.compared += 1
        apart = abs(indexed_value - chain_value)
        if not apart:
            return
        if not exact and apart <= max(ROUNDING_UNITS, chain_value // ROUNDING_SHARE):
            self.rounding += 1
            return
        self.different += 1
        if apart > self._worst:
            self._worst, self.example = apart, f"{about}: {indexed_value}, on chain {chain_value}"

    @property
    def share(self) -> float:
        """Share of the compared rows that differ; 0 where none was compared."""
        return self.different / self.compared if self.compared else 0.0


def shortfalls(reserves: Iterable[Reserve], accounts: Iterable[Account]) -> list[Shortfall]:
    """Tokens whose scaledTotalSupply is more than the sum over the accounts; empty when no account is missing.

    Raises `CrossCheckFailed` when the accounts hold more than scaledTotalSupply.
    """
    supply: dict[int, int] = {}
    debt: dict[int, int] = {}
    for account in accounts:
        for sums, held in ((supply, account.supply), (debt, account.debt)):
            for reserve_id, scaled in held.items():
                sums[reserve_id] = sums.get(reserve_id, 0) + scaled
    found = []
    for r in reserves:
        for side, sums, expected, index in (
            ("supply", supply, r.scaled_atoken_supply, r.normalized_income),
            ("debt", debt, r.scaled_debt_supply, r.normalized_debt),
        ):
            have = sums.get(r.id, 0)
            if have > expected:
                raise CrossCheckFailed(
                    f"{side} of {r.symbol}: the accounts hold {have}, scaledTotalSupply is {expected}; the balances "
                    "are not of one block. Nothing was written"
                )
            if have < expected:
                usd = (expected - have) * index * r.price / RAY / 10**r.decimals / USD
                found.append(Shortfall(r.symbol, side, expected, have, usd))
    return found


def require_complete(found: Sequence[Shortfall], most: float) -> None:
    """Raise `AccountsMissing` when unknown accounts hold more than the share `most` of a token."""
    missing = sorted((s for s in found if s.share > most and s.usd >= DUST_USD), key=lambda s: -s.usd)
    if missing:
        raise AccountsMissing(
            f"accounts are missing from the candidates: {', '.join(map(str, missing[:5]))}"
            + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
            + f" of the scaled supply; at most {most:.4%} of a token may be missing. Nothing was written; add the "
            "accounts, or read the market from the log (--scan-when-short does that by itself)"
        )


def compare_positions(
    indexed: Iterable[GraphPosition], accounts: Iterable[Account], reserves: Iterable[Reserve]
) -> list[FieldAgreement]:
    """Compare the subgraph's holdings with the chain's at one block; a holding that only one of them has counts too."""
    scaled_supply, scaled_debt = FieldAgreement("scaled_supply"), FieldAgreement("scaled_debt")
    collateral, emode = FieldAgreement("is_collateral"), FieldAgreement("emode_id")
    ids = {r.asset: r.id for r in reserves}
    symbols = {r.id: r.symbol for r in reserves}
    by_account: dict[str, dict[int, GraphPosition]] = {}
    for position in indexed:
        if position.asset in ids:
            by_account.setdefault(position.account, {})[ids[position.asset]] = position
    for account in accounts:
        listed = by_account.get(account.address, {})
        for reserve_id in listed.keys() | account.supply.keys() | account.debt.keys():
            about = f"{account.address} in {symbols[reserve_id]}"
            p = listed.get(reserve_id)
            supply, debt = account.supply.get(reserve_id, 0), account.debt.get(reserve_id, 0)
            scaled_supply.number(about, p.scaled_supply if p else 0, supply)
            scaled_debt.number(about, p.scaled_debt if p else 0, debt)
            if p and supply:
                collateral.number(about, int(p.is_collateral), int(account.is_collateral(reserve_id)), exact=True)
        if listed:
            emode.number(account.address, next(iter(listed.values())).emode, account.emode, exact=True)
    return [scaled_supply, scaled_debt, collateral, emode]


def compare_reserves(indexed: Iterable[GraphReserve], reserves: Iterable[Reserve]) -> list[FieldAgreement]:
    """Compare the subgraph's reserves with the chain's at one block; a reserve that only one of them has counts too."""
    fields = {
        "liquidation_threshold_bps": "liquidation_threshold",
        "liquidation_bonus_bps": "liquidation_bonus",
        "ltv_bps": "ltv",
        "liquidity_index": "liquidity_index",
        "variable_borrow_index": "variable_borrow_index",
        "liquidity_rate": "liquidity_rate",
        "variable_borrow_rate": "variable_borrow_rate",
        "last_update_timestamp": "last_update",
        "decimals": "decimals",
    }
    compared = {name: FieldAgreement(name) for name in ("asset", *fields, "price_raw")}
    indexed_by = {r.asset: r for r in indexed}
    read_by = {r.asset: r for r in reserves}
    for asset in sorted(indexed_by.keys() | read_by.keys()):
        compared["asset"].number(asset, int(asset in indexed_by), int(asset in read_by), exact=True)
        if asset not in indexed_by or asset not in read_by:
            continue
        a, b = indexed_by[asset], read_by[asset]
        for name, attribute in fields.items():
            compared[name].number(b.symbol, getattr(a, attribute), getattr(b, attribute), exact=True)
        within = abs(a.price - b.price) <= PRICE_SHARE * b.price
        compared["price_raw"].number(b.symbol, b.price if within else a.price, b.price, exact=True)
    return list(compared.values())


def require_agreement(compared: Iterable[FieldAgreement], most: float, routes: str) -> None:
    """Raise `RoutesDisagree` when more than the share `most` of the rows differ in some figure."""
    apart = [c for c in compared if c.share > most]
    if apart:
        worst = max(apart, key=lambda c: c.share)
        raise RoutesDisagree(
            f"{routes} disagree in {', '.join(c.name for c in apart)}: {worst.name} differs in {worst.different:,} of "
            f"{worst.compared:,} rows, for instance {worst.example}; at most {most:.2%} may differ "
            "(--max-disagreement). Is the indexer behind, or of another market? Nothing was written"
        )


def findings(compared: Mapping[str, Iterable[FieldAgreement]], missing: Iterable[Shortfall]) -> list[Finding]:
    """Rows for `fact_validation`: one for each figure that did not agree, one for each token with a missing share."""
    rows: list[Finding] = []
    for table, comparisons in compared.items():
        for c in comparisons:
            for check, n in (("routes agree", c.different), ("routes equal up to rounding", c.rounding)):
                if n:
                    example = c.example if n == c.different else ""
                    rows.append(Finding(table, check, c.name, n, c.compared, example))
    rows += [
        Finding(
            "raw_aave_balances",
            f"holders complete: {s.symbol}",
            f"scaled_{s.side}",
            1,
            1,
            f"{s.found} of {s.expected} known, missing {s}",
        )
        for s in missing
    ]
    return rows
