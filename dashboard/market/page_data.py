"""What pages ask for, and what they are told when nothing can be shown.

Pages know `PageData` alone: `dashboard.market.warehouse` answers from the database, tests answer from memory.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import data
import risk_core as rc
from dashboard.market.bands import Bands
from dashboard.market.chain import Activity, Liquidation
from dashboard.market.clusters import ClusterFit
from dashboard.market.fits import StoredFit
from dashboard.market.forecasts import Ledger
from dashboard.market.liquidators import Repaid
from dashboard.market.loaded import LoadedMarket, ShownRun
from dashboard.market.looking_back import StoredBlock
from dashboard.market.publications import Publication
from dashboard.market.queues import ShownQueue
from dashboard.market.scores import Locked, ShownScore
from dashboard.market.series import Closes
from dashboard.market.wallets import Protection, WalletFeatures
from data.brief import Brief
from data.headroom import Headroom
from data.oracle_adapters import Adapter
from data.postmortem import PostMortem
from data.quotes import Ladder
from data.rates import Rates
from data.snapshot.changes import Changes

log = logging.getLogger(__name__)

AGE_LIMIT = 3_600
"""Seconds after which a live snapshot is called stale, on every page."""
AGAIN = "python -m flows risk-scenarios --force"
"""What computes a damaged risk run again."""


class Unavailable(Exception):
    """Nothing can be shown: a title, what it means, and the command that helps."""

    def __init__(self, title: str, text: str, command: str = "") -> None:
        super().__init__(f"{title}: {text}")
        self.title, self.text, self.command = title, text, command


@dataclass(frozen=True, slots=True)
class Status:
    """What the warehouse holds now. `block` is None when there is no snapshot."""

    market: str = ""
    block: int | None = None
    block_time: int = 0
    revision: int = 0
    snapshot_hash: str = ""
    synthetic: bool = False
    age_seconds: float = 0.0
    fault: str = ""
    """Why the newest snapshot cannot be read, in words; empty when it can, and when there is none."""

    @property
    def stale(self) -> bool:
        """True for a live snapshot older than `AGE_LIMIT`; a sample has no age."""
        return self.block is not None and not self.synthetic and self.age_seconds > AGE_LIMIT

    @property
    def version(self) -> str:
        """Aave's version name of the pool's revision, `unknown` for a revision that has none."""
        return rc.types.REVISIONS.get(self.revision, "unknown")


@contextmanager
def translated(title: str, command: str = "") -> Iterator[None]:
    """Turn every error inside into `Unavailable` with this title and command, and the error's words as text.

    Stored values can be damaged in more ways than a list of exceptions can name (text that is not UTF-8, malformed
    JSON, a negative error), so every exception is translated; an unexpected one is also logged.
    """
    try:
        yield
    except Unavailable:
        raise
    except data.errors.DataError as error:
        raise Unavailable(title, str(error), command) from error
    except Exception as error:
        log.exception("%s", title)
        text = f"A stored value is not what was expected ({type(error).__name__}: {error})."
        raise Unavailable(title, text, command) from error


class PageData(Protocol):
    """What pages ask for. `Warehouse` answers from the database; tests answer from memory."""

    def status(self) -> Status:
        """Identity and age of the newest snapshot; never raises."""

    def loaded(self, snapshot_hash: str | None = None) -> LoadedMarket:
        """The market of a snapshot, None is the newest. Raises `Unavailable`."""

    def run(self, snapshot: rc.Snapshot) -> ShownRun | None:
        """The newest stored run on a snapshot, None without any. Raises `Unavailable`."""

    def blocks(self) -> tuple[StoredBlock, ...]:
        """Every stored block of the newest snapshot's market, oldest first; none without any. Raises `Unavailable`."""

    def changes(self, first: int, second: int) -> Changes:
        """What changed in that market between two stored blocks. Raises `Unavailable`."""

    def series(self) -> tuple[str, ...]:
        """Names of the price series that are served; empty without prices. Raises `Unavailable`."""

    def closes(self, symbol: str, step: int) -> Closes:
        """Prices of a series every `step` seconds. Raises `Unavailable`."""

    def peg(self, token: str) -> tuple[Closes, ...]:
        """Hourly prices of a stablecoin by every source, the served one first. Raises `Unavailable`."""

    def clusters(self) -> ClusterFit | None:
        """The newest fit of the market's liquidations, None without any. Raises `Unavailable`."""

    def brief(self) -> Brief | None:
        """The newest stored brief of the market, None before the first. Raises `Unavailable`."""

    def scores(self) -> tuple[ShownScore, ...]:
        """The newest score of each market, none before the first. Raises `Unavailable`."""

    def locked(self) -> tuple[Locked, ...]:
        """Value locked of each protocol over time, none where no source was read. Raises `Unavailable`."""

    def forecasts(self) -> Ledger | None:
        """The forecasts of the market with every law's record, None before the first. Raises `Unavailable`."""

    def wallet(self, address: str) -> WalletFeatures | None:
        """The newest stored features of a wallet, None without any. Raises `Unavailable`."""

    def fits(self, portfolio: str) -> tuple[StoredFit, ...]:
        """The stored volatility fits of a series or portfolio, none before the first. Raises `Unavailable`."""

    def protection(self, address: str) -> Protection | None:
        """The newest stored protection score of a wallet, None for none. Raises `Unavailable`."""

    def rates(self, market: rc.Market) -> Rates | None:
        """The interest rates stored with a market's snapshot, None where none are. Raises `Unavailable`."""

    def bands(self) -> Bands | None:
        """The newest health-factor bands of the market, None before the first. Raises `Unavailable`."""

    def chain(self) -> Activity | None:
        """The newest blocks of a chain and its transfers, None without blocks. Raises `Unavailable`."""

    def liquidations(self, wallet: str | None = None, *, largest: bool = False) -> tuple[Liquidation, ...]:
        """The newest liquidations of the market or of one wallet, or the largest of a week. Raises `Unavailable`."""

    def post_mortem(self, transaction: str, log_index: str | None = None) -> PostMortem:
        """One liquidation in full. Raises `InputError` for a key that no stored one has, `Unavailable`."""

    def quotes(self, market: rc.Market) -> tuple[Ladder, ...]:
        """The newest quotes of each pair of a market's reserves, none without any. Raises `Unavailable`."""

    def headroom(self, market: rc.Market) -> Headroom:
        """What the reserves of a market still lend and let in, as stored with its block. Raises `Unavailable`."""

    def adapters(self, market: rc.Market) -> Mapping[int, Adapter]:
        """The adapters behind its prices, by the place of the reserve, none without any. Raises `Unavailable`."""

    def queue(self, snapshot: rc.Snapshot) -> ShownQueue | None:
        """The newest simulation of limited liquidators of a snapshot, None without one. Raises `Unavailable`."""

    def repaid(self) -> Repaid:
        """Every stored liquidation of the market with the debt repaid, none without any. Raises `Unavailable`."""

    def publications(self) -> tuple[Publication, ...]:
        """The newest publications of the market's figures on a chain, the newest first. Raises `Unavailable`."""
