"""One account: its collateral and debt, its liquidation prices, and its 26 features."""

from __future__ import annotations

from itertools import groupby
from typing import Any

import numpy as np
from dash import html

import risk_core as rc
from dashboard.look import formatting as fmt
from dashboard.look.components import card, empty, missing, pill, row, strip, table, token
from dashboard.look.escaping import marked, named
from dashboard.market.chain import Liquidation
from dashboard.market.page_data import PageData
from dashboard.market.wallets import Protection, WalletFeatures
from dashboard.pages.accounts import accrual, answers, bands
from risk_core.analytics.wallets import FEATURES, Feature

FILL = "python -m flows wallet-features"
EVENTS = "python -m flows lending-events"
WORDS = {"ok": "healthy", "watch": "watch", "warn": "warning", "crit": "critical"}


def account_page(source: PageData, address: str) -> html.Div:
    """The page of one account: holdings, liquidation prices, features. An unknown address gives a card that says so."""
    loaded = source.loaded()
    try:
        found = answers.account(loaded, address)
    except rc.InputError as unknown:
        page = missing("No such account", marked(str(unknown), 300))
        page.children = [page.children, html.P(html.A("All accounts", href="/accounts"), className="back")]
        return page
    stored = source.wallet(found.address)
    when = fmt.utc(loaded.market.snapshot.block_time)
    band_card = bands.account_card(source.bands(), loaded, found.address, found.health_factor)
    days = accrual.days_of(source, loaded)
    at = loaded.market.snapshot.block_time
    alone = (
        "" if days is None or found.debt_usd == 0 else accrual.in_words(days[loaded.market.index(found.address)], at)
    )
    json_at = f"/api/v1/accounts/account?address={found.address}"
    return html.Div(
        [
            html.Div(
                [html.A("Accounts", href="/accounts"), " / ", html.Span(found.address, className="mono")],
                className="crumb",
            ),
            account_verdict(found, alone),
            strip(facts(found)),
            row(
                [
                    (
                        card(
                            "What it has and owes",
                            holdings_table(found),
                            f"oracle prices · {when} · supplies that are not enabled as collateral are not shown",
                            "tokens and USD",
                            flush=True,
                            source=json_at,
                        ),
                        {"xl": 7},
                    ),
                    (
                        card(
                            "At which price?",
                            prices_table(found),
                            f"oracle prices · {when} · what an oracle links moves together",
                            "health factor 1, all other prices held",
                            flush=True,
                            source=json_at,
                        ),
                        {"xl": 5},
                    ),
                ]
            ),
            row([(band_card, {"xl": 8}), (protection_card(source.protection(found.address), json_at), {"xl": 4})]),
            row([(liquidations_card(source.liquidations(found.address)), {})]),
            row([(features_card(stored, json_at), {})]),
        ],
        className="page",
    )


def account_verdict(found: answers.Account, alone: str = "") -> html.Section:
    """The fall of prices at which this account can be liquidated; `alone`: when interest alone does it, in words."""
    tone = answers.tone(found.health_factor)
    if found.debt_usd == 0:
        words: list[Any] = [html.B("Nothing can liquidate this account: "), "it has no debt."]
    elif found.health_factor < 1:
        words = [html.B("This account can be liquidated now.")]
    elif np.isnan(found.fall):
        words = [
            html.B("No fall of all crypto together liquidates this account: "),
            "its collateral does not fall faster than its debt.",
        ]
    else:
        words = [
            "A fall of all crypto together by ",
            html.B(fmt.share(-found.fall)),
            " lets this account be liquidated.",
        ]
    if alone:
        words += [" ", alone]
    return html.Section([pill(tone, WORDS[tone]), html.P(words)], className="verdict")


def facts(found: answers.Account) -> list[tuple[str, Any, str]]:
    """The account in a line of figures: label, value, note."""
    net = found.collateral_usd - found.debt_usd
    fall = "no fall is enough" if np.isnan(found.fall) else "all crypto together"
    return [
        ("Health factor", fmt.health_factor(found.health_factor, 3), "below 1 it can be liquidated"),
        ("Collateral", fmt.money(found.collateral_usd), "enabled as such"),
        ("Debt", fmt.money(found.debt_usd), "with interest"),
        ("Net", fmt.money(net), "collateral less debt"),
        ("Falls at", answers.fall_text(found.fall), fall),
        ("E-mode", named(found.emode), "thresholds follow it" if found.emode != "none" else "reserve thresholds"),
    ]


def amount(value: float) -> str:
    """An amount of tokens with four digits or more; a dash for 0."""
    return fmt.MISSING if value == 0 else f"{value:,.0f}" if value >= 10_000 else f"{value:,.4g}"


def holdings_table(found: answers.Account) -> Any:
    """Collateral and debt of the account, by reserve."""
    head = (("Asset", False), ("Collateral", True), ("USD", True), ("Threshold", True), ("Debt", True), ("USD", True))
    rows = [
        (
            token(holding.symbol),
            amount(holding.collateral),
            fmt.money(holding.collateral_usd) if holding.collateral else "",
            fmt.share(holding.threshold) if holding.collateral else fmt.MISSING,
            amount(holding.debt),
            fmt.money(holding.debt_usd) if holding.debt else "",
        )
        for holding in found.holdings
    ]
    return table(head, rows) if rows else empty("Nothing is held", "The account has neither collateral nor debt.")


def prices_table(found: answers.Account) -> Any:
    """The liquidation price of each reserve, if only its price moves."""
    head = (("Asset", False), ("Now", True), ("Liquidated at", True), ("Move", True))
    rows = []
    for holding in found.holdings:
        at = holding.liquidation_price
        none = not np.isfinite(at) or found.debt_usd == 0
        rows.append(
            (
                token(holding.symbol),
                answers.price_text(holding.price),
                html.Span("at no price", className="t2") if none else answers.price_text(at),
                "" if none else fmt.move(at / holding.price - 1),
            )
        )
    return table(head, rows)


TONES = {"strong": "ok", "medium": "watch", "weak": "warn", "no debt": "flat", "not known": "flat"}


def protection_card(score: Protection | None, source: str) -> Any:
    """Whether the wallet protects itself: every input with its threshold, and the rule."""
    title = "Does it protect itself?"
    if score is None:
        text = "No protection score of this wallet is stored yet. This computes that of every wallet:"
        return card(title, empty("Not computed yet", text, FILL))
    rule = score.rule
    never = score.liquidations == 0
    room = fmt.MISSING if score.room is None else fmt.share(score.room)
    head = (("What is looked at", False), ("Here", True), ("Strong from", True))
    inputs = (
        ("Room before it falls", room, fmt.share(rule.strong_room, 0),
         score.room is not None and score.room >= rule.strong_room,
         "How much of its value all its collateral may lose, debts held, before it can be liquidated"),
        ("Times it protected itself", fmt.count(score.acts), fmt.count(rule.strong_acts),
         score.acts >= rule.strong_acts,
         f"A repayment or deposit of its own while it borrows, no loan or withdrawal in the next {rule.quiet_hours} "
         "hours; several within that time are one"),
        (f"What it did in {rule.recent_days} days", fmt.count(score.recent), fmt.count(rule.strong_recent),
         score.recent >= rule.strong_recent, "Loans, repayments, deposits and withdrawals of its own"),
    )  # fmt: skip
    rows = [
        (html.Abbr(name, title=says, tabIndex=0, **{"aria-label": f"{name}: {says}"}),
         html.Span([here, " ", pill("ok" if met else "flat", "yes" if met else "no")]), needed)
        for name, here, needed, met, says in inputs
    ]  # fmt: skip
    lost = (
        pill("ok", "never") if never else html.Span([f"{fmt.count(score.liquidations)} × ", pill("warn", "breaks it")])
    )
    rows.append(("Liquidated before", lost, "never"))
    say = html.P(
        [html.B("Strong"), " needs one of the first three and no liquidation. ", html.B("Medium"),
         f": the same with {rule.most_liquidations} liquidation at most, or ",
         f"{fmt.share(rule.medium_room, 0)} of room. Else ",
         html.B("weak"), ". No standard exists: the rule is ours, its thresholds are options of ",
         html.Code("wallet-features"), "."], className="t2 micro note",
    )  # fmt: skip
    months = f"the last {fmt.count(rule.lookback_days)} days · as of {fmt.utc(score.as_of)}"
    body = html.Div([table(head, rows, tight=True), say])
    return card(title, body, months, right=pill(TONES[score.level], score.level), source=source)


def liquidations_card(found: tuple[Liquidation, ...]) -> Any:
    """The account's stored liquidations; each links to its post-mortem."""
    head = (("When", False), ("Sold", False), ("Repaid", True), ("Seized", True), ("", False))
    rows = [
        (
            fmt.utc(one.ts),
            token(one.collateral),
            f"{amount(one.repaid)} {named(one.debt)}" if one.repaid is not None else named(one.debt) or fmt.MISSING,
            fmt.money(one.seized_usd),
            html.A("Why, and at what cost", href=f"/chain?transaction={one.tx_hash}&log_index={one.log_index}"),
        )
        for one in found
    ]
    body = (
        table(head, rows)
        if rows
        else empty("None stored", "No liquidation of this account in this market is stored.", EVENTS)
    )
    return card("Liquidations of it", body, "USD at the price of the event", "newest on top", flush=True, source="")


def features_card(stored: WalletFeatures | None, source: str) -> Any:
    """The 26 features in their groups; each name shows its definition on hover."""
    title, sub = "The wallet in 26 features", "Aave v2, v3 and Compound v2, v3 together, in ETH"
    if stored is None:
        text = "No features of this wallet are stored yet. This computes those of every wallet:"
        return card(title, empty("Not computed yet", text, FILL), sub=sub)
    groups = [
        html.Section([html.H3(group), *[feature_line(feature, stored.values[feature.name]) for feature in members]])
        for group, members in groupby(sorted(FEATURES, key=lambda f: GROUPS.index(f.group)), lambda f: f.group)
    ]
    lost = f" · {fmt.count(stored.n_without_value)} events without a known value" if stored.n_without_value else ""
    days = "1 day" if stored.n_days == 1 else f"{fmt.count(stored.n_days)} days"
    foot = (
        f"as of {fmt.utc(stored.as_of)} · {days}, first block of each · ETH at the time of "
        f"each event{lost} · hover over a name for its definition"
    )
    return card(title, html.Div(groups, className="feats"), foot, sub, source=source)


GROUPS = tuple(dict.fromkeys(feature.group for feature in FEATURES))


def feature_line(feature: Feature, value: float | None) -> html.Div:
    """A feature in plain words with its value; its definition on hover and focus."""
    definition = f"{feature.says}. {feature.name}"
    name = html.Abbr(
        label(feature), title=definition, tabIndex=0, **{"aria-label": f"{label(feature)}: {feature.says}"}
    )
    return html.Div([name, html.Span(feature_text(feature, value), className="num")], className="feat")


LABELS = {
    "risk_factor": "Risk now, 1 ÷ HF", "avg_risk_factor": "Risk, average", "max_risk_factor": "Risk, worst ever",
    "avg_weighted_risk_factor": "Risk, average by debt",
    "risk_factor_above_threshold_daily_count": "Days with HF below 1.2", "total_collateral_eth": "Collateral now",
    "total_collateral_avg_eth": "Collateral, average", "total_available_borrows_eth": "Could still borrow",
    "total_available_borrows_avg_eth": "Could borrow, average", "borrow_amount_sum_eth": "Borrowed in all",
    "borrow_amount_avg_eth": "A loan, on average", "borrow_count": "Loans", "repay_amount_sum_eth": "Repaid in all",
    "repay_amount_avg_eth": "A repayment, on average", "repay_count": "Repayments",
    "borrow_repay_diff_eth": "Borrowed less repaid", "deposit_count": "Deposits", "deposit_amount_sum_eth": "Put in",
    "time_since_first_deposit": "First deposit", "withdraw_amount_sum_eth": "Taken out",
    "withdraw_deposit_diff_eth": "Taken out beyond deposits", "liquidation_count": "Liquidated",
    "time_since_last_liquidated": "Last time", "liquidation_amount_sum_eth": "Collateral lost to them",
    "unique_borrow_protocol_count": "Protocols it borrows from",
    "unique_lending_protocol_count": "Protocols it lends to",
}  # fmt: skip


def label(feature: Feature) -> str:
    """A feature in plain words."""
    return LABELS[feature.name]


def feature_text(feature: Feature, value: float | None) -> str:
    """A feature with its unit; a dash where it has no value."""
    if value is None:
        return fmt.MISSING
    if feature.unit == "s":
        return fmt.age(value)
    if feature.unit == "ETH":
        size = f"{abs(value):,.0f}" if abs(value) >= 10_000 else f"{abs(value):,.4g}"
        return f"{fmt.MINUS if value < 0 else ''}{size}{fmt.NO_BREAK}ETH"
    if feature.unit == "ratio":
        return f"{value:.3f}" if value < 1e6 else "no collateral"
    if feature.unit == "days":
        return f"{fmt.count(value)}{fmt.NO_BREAK}days"
    return fmt.count(value)
