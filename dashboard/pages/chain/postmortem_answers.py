"""Text and figures of a post-mortem's page: pure functions of the record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dashboard.look import formatting as fmt
from dashboard.look.escaping import named
from data.postmortem import PostMortem, PriceThen
from risk_core.analytics import postmortem as pm

NOT_KNOWN = "not known"
CAUSES = {
    pm.COLLATERAL_PRICE: "Collateral, market",
    pm.COLLATERAL_ORACLE: "Collateral, oracle",
    pm.DEBT_PRICE: "Debt, market",
    pm.DEBT_ORACLE: "Debt, oracle",
    pm.PARAMETERS: "Parameters",
    pm.OWN_ACTIONS: "Own actions",
    pm.INTEREST: "Interest",
}
SAID = {
    pm.COLLATERAL_PRICE: ("Prices", "The market price of its collateral made it fall."),
    pm.COLLATERAL_ORACLE: ("Oracle", "The oracle of its collateral, not the market, made it fall."),
    pm.DEBT_PRICE: ("Prices", "The market price of its debt made it fall."),
    pm.DEBT_ORACLE: ("Oracle", "The oracle of its debt, not the market, made it fall."),
    pm.PARAMETERS: ("Parameters", "A lower liquidation threshold made it fall."),
    pm.OWN_ACTIONS: ("Own actions", "What the account did itself made it fall."),
    pm.INTEREST: ("Interest", "Interest made it fall."),
}
"""Cause to (pill, sentence)."""
REASONS = {
    "loss": "The loss",
    "collateral oracle": "The oracle's price of the collateral",
    "debt oracle": "The oracle's price of the debt",
    "collateral market": "The market's price of the collateral",
    "debt market": "The market's price of the debt",
    "fee": "Bonus and protocol fee",
    "oev": "What was paid for being first",
    "slippage": "Slippage",
    "health": "The health factor",
    "path": "The health factor over time",
    "fall": "What made it fall",
    pm.PARAMETERS: "A change of parameters",
}
"""Key of `PostMortem.why` -> its text on the page."""


@dataclass(frozen=True, slots=True)
class Part:
    """One bar of the loss.

    value: USD, None where not known. start: where it begins. kind: cause, total or receiver. at_least: it may be more.
    """

    name: str
    value: float | None
    start: float
    kind: str
    note: str
    at_least: bool = False


def reason(found: PostMortem, *names: str) -> str:
    """Why a figure is not known: the reasons under these names, each once."""
    reasons = dict.fromkeys(found.why[name] for name in names if name in found.why)
    return "; ".join(reasons)


def sentence(text: str) -> str:
    """A reason as a sentence."""
    return f"{text[:1].upper()}{text[1:]}."


def dollars(value: float | None) -> str:
    """USD to the dollar, below a thousand to the cent, so that a loss can be compared with its parts."""
    if value is None:
        return NOT_KNOWN
    if abs(value) >= 1_000:
        return fmt.money_full(value)
    sign = fmt.MINUS if round(value, 2) < 0 else ""
    return f"{sign}${abs(value):,.2f}"


def tokens(value: float, symbol: str) -> str:
    """`258.9 wstETH`."""
    size = f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:,.4g}"
    return f"{size} {named(symbol)}"


def amount(raw: int | None, price: PriceThen | None) -> str:
    """Token units as tokens."""
    if raw is None or price is None:
        return NOT_KNOWN
    if price.decimals is None:
        return f"{raw:.4g} smallest units of {named(price.symbol)}"
    return tokens(raw / 10**price.decimals, price.symbol)


def clock(seconds: int) -> str:
    """Date and time to the second, as blocks have it: `29 Jun 2025, 22:47:12 UTC`."""
    return f"{fmt.utc(seconds).removesuffix(' UTC')}:{seconds % 60:02d} UTC"


def ago(seconds: float) -> str:
    """`25.2 h before`, `4 min after` the liquidation: above 0 is before."""
    size = abs(seconds)
    many = f"{size:.0f} s" if size < 90 else f"{size / 60:.0f} min" if size < 5_400 else f"{size / 3_600:.1f} h"
    return f"{many} {'before' if seconds >= 0 else 'after'}".replace(" ", fmt.NO_BREAK, 1)


def wait(seconds: int) -> str:
    """`10 min`, `1 h`."""
    return f"{seconds // 3_600}{fmt.NO_BREAK}h" if seconds >= 3_600 else f"{seconds // 60}{fmt.NO_BREAK}min"


def head(found: PostMortem) -> tuple[str, str]:
    """(severity, text) of the pill: that waiting an hour would have saved the account, else the cause."""
    if found.saved_in_an_hour:
        return "warn", "Avoidable"
    main = None if found.fall is None else found.fall.main
    return ("flat", "Told in part") if main is None else ("flat", SAID[main.name][0])


def oracle_off(price: PriceThen | None) -> float | None:
    """The oracle's price over the market's price, minus 1."""
    if price is None or price.oracle is None or price.market is None:
        return None
    return float(price.oracle) / price.market - 1


def parts(found: PostMortem) -> list[Part]:
    """The bars of the loss, twice: by cause and by receiver; both end at the total.

    A part that is not known has no bar. Without a total, neither half has an end.
    """
    loss, got = found.loss, found.receipts
    if loss is None or got is None:
        return []

    def usd(value: Any) -> float | None:
        return None if value is None else float(value)

    total, error = usd(loss.total), usd(loss.oracle_error)
    out = [Part("Oracle error", error, 0.0, "cause", oracle_words(found))]
    bonus = usd(loss.at_oracle)
    paid = "" if found.bonus_bps is None else f"{fmt.share(found.bonus_bps / 10_000 - 1)} of the debt repaid"
    out.append(Part("Liquidation bonus", bonus, error or 0.0, "cause", paid))
    out.append(Part("Borrower lost", total, 0.0, "total", ""))
    at, fee = 0.0, usd(got.protocol_fee)
    kept = ""
    if found.loss is not None and fee is not None and bonus and loss.protocol_fee is not None:
        kept = f"{fmt.share(float(loss.protocol_fee) / bonus)} of the bonus"
    sold = found.sale
    for name, value, note, more in (
        ("Aave, protocol fee", fee, kept, False),
        ("Paid for being first", usd(got.oev), first_words(found), found.first is not None),
        ("Slippage", usd(got.slippage), sale_words(found), sold is not None and bool(sold.lower_bound)),
        ("Liquidator", usd(got.rest), "at most: before what of its costs is not known", False),
    ):
        out.append(Part(name, value, at, "receiver", note, more))
        at += value or 0.0
    return out


def first_words(found: PostMortem) -> str:
    """What is seen to have been paid for being first, and what is not."""
    first = found.first
    if first is None:
        return ""
    paid = f"priority fee {first.priority_fee_wei / 1e18:.4g} ETH"
    if first.sent_wei:
        paid += f" and {first.sent_wei / 1e18:.4g} ETH sent to the block's producer"
    auction = {
        None: "whether the price update was auctioned is not known: the block's logs are not stored",
        "": "no auctioned price update (SVR) came before it in the block",
    }.get(first.auction, "an auctioned price update (SVR) came before it in the block")
    return f"{paid}; a bid paid inside a call leaves no log, so this is the least; {auction}"


def sale_words(found: PostMortem) -> str:
    """By which quotes, how old, and what makes the slippage a lower bound."""
    sold = found.sale
    if sold is None:
        return ""
    if sold.quoted_at is None:
        return "nothing needs to be sold: debt and collateral are the same asset"
    age = ago(found.event.ts - sold.quoted_at)
    way = " to ".join(named(symbol) for symbol in sold.through)
    words = [f"{fmt.share(sold.share, 2)} of {fmt.money(sold.size_usd)}, {way}, quotes of {age}"]
    if sold.assumed:
        words.append("assumed, nobody quoted it")
    if sold.lower_bound:
        words.append(sold.lower_bound)
    return "; ".join(words)


def oracle_words(found: PostMortem) -> str:
    """`wstETH priced 2.85 % too low`."""
    words = []
    for price in (found.collateral, found.debt):
        off = oracle_off(price)
        if price is not None and off is not None and abs(off) >= 5e-5:
            words.append(f"{named(price.symbol)} {fmt.share(abs(off), 2)} too {'low' if off < 0 else 'high'}")
    return ", ".join(words)


def verdict(found: PostMortem) -> list[tuple[str, bool]]:
    """(text, whether it is strong) of each sentence of the answer."""
    main = None if found.fall is None else found.fall.main
    words: list[tuple[str, bool]] = []
    if main is None:
        words.append(("What made it fall is not known.", True))
    else:
        words.append((SAID[main.name][1], True))
        if main.name in (pm.COLLATERAL_ORACLE, pm.DEBT_ORACLE) and oracle_words(found):
            words.append((f"It had {oracle_words(found)}.", False))
    loss = found.loss
    if loss is None or (loss.total is None and loss.at_oracle is None):
        words.append(("What the borrower lost is not known.", False))
    elif loss.total is None and loss.at_oracle is not None:
        words.append((f"At the oracle's prices the borrower lost {dollars(float(loss.at_oracle))}.", False))
    elif loss.total is not None:
        share = ""
        if loss.oracle_error is not None and loss.total > 0 and abs(loss.oracle_error) >= loss.total / 20:
            share = f", {fmt.share(float(loss.oracle_error / loss.total), 0)} of it oracle error"
        spread = ""
        if found.loss_range is not None:
            low, high = (dollars(float(one)) for one in found.loss_range)
            spread = f" ({low} to {high} by the bars around)" if low != high else ""
        words.append((f"The borrower lost {dollars(float(loss.total))}{spread}{share}.", False))
    saved = found.saved_in_an_hour
    if saved is None:
        words.append(("Whether waiting an hour would have saved it is not known.", False))
    else:
        words.append((f"Waiting an hour would {'' if saved else 'not '}have saved it.", True))
    return words


def unknowns(found: PostMortem) -> list[tuple[str, str]]:
    """(figures, reason) of everything that is not known; figures with the same reason are joined."""
    by_reason: dict[str, list[str]] = {}
    for name, why in found.why.items():
        by_reason.setdefault(why, []).append(REASONS.get(name, name))
    return [(_listed(names), why) for why, names in by_reason.items()]


def _listed(names: Sequence[str]) -> str:
    rest = [f"{name[0].lower()}{name[1:]}" for name in names[1:]]
    return ", ".join([names[0], *rest])
