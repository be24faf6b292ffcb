"""The four experiments of the Oracles page: what each shows for what its knobs say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from dashboard import ids
from dashboard.market.drivers import BY_KEY
from dashboard.market.page_data import PageData
from dashboard.pages.oracles import charts
from dashboard.pages.oracles.answers import FEEDS, cap_curve, cap_low, minted, minted_curve, stuck, stuck_curve
from dashboard.pages.oracles.api import asked, lends, update_of
from dashboard.pages.oracles.parts import says_cap, says_minted, says_stuck, says_update, token_name

Shown = tuple[list[Any], dict]
"""Words, and the figure of a chart."""


def cap(source: PageData, theme: str | None, asset: object, by: object) -> Shown:
    """A cap that is too low."""
    loaded = source.loaded()
    error = -asked(by, "too low by", 0, 90) / 100
    gap = cap_low(loaded, str(asset), error)
    figure = charts.cap(cap_curve(loaded, str(asset)), error, (gap.repaid_usd, gap.borrower_loss_usd), theme)
    return says_cap(gap, token_name(loaded.market, str(asset)), error), figure


def stuck_feed(source: PageData, theme: str | None, what: object, by: object) -> Shown:
    """A feed, or all of an asset, that does not follow the market's fall."""
    loaded = source.loaded()
    fall = asked(by, "market falls by", 0, 95) / 100
    gap = stuck(loaded, str(what), fall)
    at = (gap.honest.repaid_usd - gap.first.repaid_usd, gap.bad_debt_usd)
    figure = charts.stuck(stuck_curve(loaded, str(what)), fall, at, theme)
    name = BY_KEY[str(what)].label if what in FEEDS else token_name(loaded.market, str(what))
    return says_stuck(gap, name, fall, lends(source, loaded)), figure


def unbacked(
    source: PageData, theme: str | None, asset: object, borrowed: object, millions: object, by: object, seen: object
) -> Shown:
    """Collateral that nothing backs."""
    loaded = source.loaded()
    usd = asked(millions, "minted", 0, 1e6) * 1e6
    markdown = asked(by, "marked down", 0, 99) / 100
    room = source.headroom(loaded.market)
    answer = minted(loaded, room, str(asset), usd, str(borrowed), markdown, oracle_sees=seen != "no")
    whole = answer.found.gap.deficit_usd if answer.oracle_sees else answer.found.gap.bad_debt_usd
    figure = charts.minted(minted_curve(loaded, str(asset)), markdown, (whole,), theme)
    return says_minted(answer, str(asset), str(borrowed), markdown, usd), figure


def update(
    source: PageData, theme: str | None, asset: object, ratio: object, days: object, growth: object, pace: object
) -> Shown:
    """An update of a cap before it runs."""
    given = {"reserve": asset, "ratio": ratio, "days": days, "growth": growth, "pace": pace}
    found = update_of(source, source.loaded(), given)
    return says_update(found), charts.update(found, asked(pace, "ratio grows", -100, 1_000) / 100, theme)


class Lab(NamedTuple):
    """One experiment: the ids of its words, its chart and its knobs, in the order of `shown`'s last arguments.

    `shown` raises `risk_core.InputError` where a choice makes no sense.
    """

    says: str
    chart: str
    picks: tuple[str, ...]
    fields: tuple[str, ...]
    shown: Callable[..., Shown]
    others: tuple[str, ...] = ()

    @property
    def knobs(self) -> tuple[str, ...]:
        """The ids of all knobs."""
        return (*self.picks, *self.fields, *self.others)


LABS = (
    Lab(ids.ORACLE_CAP_SAYS, ids.ORACLE_CAP, (ids.ORACLE_CAP_OF,), (ids.ORACLE_CAP_BY,), cap),
    Lab(ids.ORACLE_STUCK_SAYS, ids.ORACLE_STUCK, (ids.ORACLE_STUCK_OF,), (ids.ORACLE_STUCK_BY,), stuck_feed),
    Lab(
        ids.ORACLE_MINT_SAYS, ids.ORACLE_MINT, (ids.ORACLE_MINT_OF, ids.ORACLE_MINT_FOR),
        (ids.ORACLE_MINT_USD, ids.ORACLE_MINT_BY), unbacked, (ids.ORACLE_MINT_SEEN,),
    ),
    Lab(
        ids.ORACLE_UPDATE_SAYS, ids.ORACLE_UPDATE, (ids.ORACLE_UPDATE_OF,),
        (ids.ORACLE_UPDATE_RATIO, ids.ORACLE_UPDATE_DAYS, ids.ORACLE_UPDATE_GROWTH, ids.ORACLE_UPDATE_PACE), update,
    ),
)  # fmt: skip
