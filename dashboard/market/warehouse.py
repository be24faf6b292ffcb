"""Where pages get their data: the newest snapshot and its newest run, loaded once for each snapshot.

The cache is keyed by the snapshot's hash and holds immutable markets, so a page keeps the snapshot it was built from
while a newer one arrives, and no reader changes what others see.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

import numpy as np

import data
import risk_core as rc
from dashboard.market.bands import Bands, load_bands
from dashboard.market.chain import Activity, Liquidation, load_activity, load_liquidations, newest_activity
from dashboard.market.checks import check_run
from dashboard.market.clusters import ClusterFit, load_clusters
from dashboard.market.drivers import AssetMap
from dashboard.market.fits import StoredFit, load_fits
from dashboard.market.forecasts import Ledger, load_forecasts
from dashboard.market.liquidators import Repaid, load_repaid
from dashboard.market.loaded import LoadedMarket, ShownFigure, ShownRun
from dashboard.market.looking_back import StoredBlock, load_blocks
from dashboard.market.publications import Publication, load_publications
from dashboard.market.queues import ShownQueue, load_queue
from dashboard.market.scores import Locked, ShownScore, load_locked, load_scores
from dashboard.market.series import Closes, known_series, load_closes, load_peg
from dashboard.market.wallets import Protection, WalletFeatures, load_protection, load_wallet
from data.brief import Brief
from data.brief.writing import stored as stored_brief
from data.headroom import Headroom, load_headroom
from data.oracle_adapters import Adapter, load_adapters
from data.postmortem import PostMortem, key_of, post_mortem
from data.prices.rules import COLUMNS, mapped_reserves
from data.quotes import Ladder, load_quotes
from data.rates import Rates, load_rates
from data.snapshot.changes import Changes, between

log = logging.getLogger(__name__)

KEPT = 3
"""Markets and runs kept in memory: of the newest snapshot, and of those that open pages may still show."""
TOLD = 8
"""Post-mortems, and changes between two blocks, kept in memory."""
FILL = "python -m data.sample"
AGAIN = "python -m flows risk-scenarios --force"
BANDS_AGAIN = "python -m flows health-factor-bands --force"
TAIL = ("shares", "steps", "convergence", "envelope", "accounts", "histogram_of_most")
"""Curves of a run that only the Risk page shows."""
DAY = 86_400
AGE_LIMIT = 3_600
"""Seconds after which a live snapshot is called stale, on every page."""


NOTHING_YET = (data.errors.WarehouseMissing, data.errors.NoSnapshot)


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


class Warehouse:
    """Answers from the database of `RISK_DB`, which is looked up at every question, so that a new file is found."""

    def __init__(self, path: Path | str | None = None) -> None:
        self._path = path
        self._loaded: OrderedDict[str, LoadedMarket] = OrderedDict()
        self._runs: OrderedDict[str, ShownRun] = OrderedDict()
        self._chain: tuple[tuple, Activity] | None = None
        self._told: OrderedDict[tuple, PostMortem] = OrderedDict()
        self._blocks: tuple[tuple, tuple[StoredBlock, ...]] | None = None
        self._changes: OrderedDict[tuple, Changes] = OrderedDict()
        self._lock = threading.Lock()

    def status(self) -> Status:
        """See `PageData.status`."""
        try:
            with translated("The snapshot cannot be read"):
                at = data.snapshot.newest(db=self._path)
                age = max(time.time() - at.block_time, 0.0)
                return Status(at.market, at.block, at.block_time, at.revision, at.hash, at.synthetic, age)
        except Unavailable as unreadable:
            if isinstance(unreadable.__cause__, NOTHING_YET):
                return Status()
            return Status(fault=str(unreadable))

    def loaded(self, snapshot_hash: str | None = None) -> LoadedMarket:
        """See `PageData.loaded`."""
        with translated("The snapshot cannot be shown"):
            try:
                # One load at a time: many first readers share one market instead of each building it.
                with self._lock:
                    wanted = snapshot_hash or data.snapshot.newest(db=self._path).hash
                    if wanted not in self._loaded:
                        self._loaded[wanted] = self._load(wanted)
                        while len(self._loaded) > KEPT:
                            self._loaded.popitem(last=False)
                    self._loaded.move_to_end(wanted)
                    return self._loaded[wanted]
            except NOTHING_YET as error:
                raise Unavailable("No snapshot yet", str(error), FILL) from error

    def run(self, snapshot: rc.Snapshot) -> ShownRun | None:
        """See `PageData.run`."""
        with translated("The risk run cannot be shown", AGAIN):
            try:
                stored = data.results.latest(self._path, market=snapshot.market, snapshot_hash=snapshot.hash)
            except data.errors.NoResult:
                return None
            with self._lock:
                if stored.run_id not in self._runs:
                    self._runs[stored.run_id] = check_run(_run(stored))
                    while len(self._runs) > KEPT:
                        self._runs.popitem(last=False)
                return self._runs[stored.run_id]

    def blocks(self) -> tuple[StoredBlock, ...]:
        """As `PageData.blocks`."""
        with translated("The stored snapshots cannot be listed"):
            market = self.status().market
            if not market:
                return ()
            with data.store.Reader.open(self._path) as store, store.one_state(), self._lock:
                [(batch,)] = store.rows("SELECT max(batch) FROM fact_batch")
                if self._blocks is None or self._blocks[0] != (market, batch):
                    self._blocks = (market, batch), load_blocks(store, market)
                return self._blocks[1]

    def changes(self, first: int, second: int) -> Changes:
        """As `PageData.changes`."""
        with translated("The changes cannot be shown", "python -m data snapshots"):
            market = self.status().market
            with data.store.Reader.open(self._path) as store, self._lock:
                [(batch,)] = store.rows("SELECT max(batch) FROM fact_batch")
                key = (market, first, second, batch)
                if key not in self._changes:  # the chart of a page asks again for what its cards asked
                    self._changes[key] = between(store, market, first, second)
                    while len(self._changes) > TOLD:
                        self._changes.popitem(last=False)
                return self._changes[key]

    def series(self) -> tuple[str, ...]:
        """See `PageData.series`."""
        with translated("The prices cannot be shown"):
            try:
                return known_series(synthetic=self.status().synthetic, path=self._path)
            except NOTHING_YET as error:
                raise Unavailable("No snapshot yet", str(error), FILL) from error

    def closes(self, symbol: str, step: int) -> Closes:
        """See `PageData.closes`."""
        with translated("The prices cannot be shown"):
            return load_closes(symbol, step, synthetic=self.status().synthetic, path=self._path)

    def peg(self, token: str) -> tuple[Closes, ...]:
        """See `PageData.peg`."""
        with translated("The prices cannot be shown"):
            return load_peg(token, synthetic=self.status().synthetic, path=self._path)

    def clusters(self) -> ClusterFit | None:
        """See `PageData.clusters`."""
        with translated("The clusters cannot be shown"):
            return load_clusters(self.status().market, self._path)

    def brief(self) -> Brief | None:
        """As `PageData.brief`."""
        with translated("The brief cannot be shown", "python -m flows brief"):
            try:
                with data.store.Reader.open(self._path) as store, store.one_state():
                    return stored_brief(store, self.status().market)
            except NOTHING_YET as error:
                raise Unavailable("No brief yet", str(error), FILL) from error

    def scores(self) -> tuple[ShownScore, ...]:
        """As `PageData.scores`."""
        with translated("The scores cannot be shown"):
            try:
                return load_scores(self.status().synthetic, self._path)
            except NOTHING_YET as error:
                raise Unavailable("No scores yet", str(error), FILL) from error

    def locked(self) -> tuple[Locked, ...]:
        """As `PageData.locked`."""
        with translated("The value locked cannot be shown"):
            try:
                return load_locked(self.status().synthetic, self._path)
            except NOTHING_YET as error:
                raise Unavailable("No value locked yet", str(error), FILL) from error

    def forecasts(self) -> Ledger | None:
        """As `PageData.forecasts`."""
        with translated("The forecasts cannot be shown", "python -m flows forecast-ledger"):
            return load_forecasts(self.status().market, self._path)

    def wallet(self, address: str) -> WalletFeatures | None:
        """As `PageData.wallet`."""
        with translated("The features of the wallet cannot be shown"):
            return load_wallet(address, synthetic=self.status().synthetic, path=self._path)

    def fits(self, portfolio: str) -> tuple[StoredFit, ...]:
        """As `PageData.fits`."""
        with translated("The volatility fits cannot be shown"):
            return load_fits(portfolio, synthetic=self.status().synthetic, path=self._path)

    def protection(self, address: str) -> Protection | None:
        """As `PageData.protection`."""
        with translated("The protection score of the wallet cannot be shown"):
            return load_protection(address, synthetic=self.status().synthetic, path=self._path)

    def rates(self, market: rc.Market) -> Rates | None:
        """As `PageData.rates`."""
        with translated("The interest rates cannot be shown"):
            return load_rates(market, self._path)

    def bands(self) -> Bands | None:
        """As `PageData.bands`."""
        with translated("The health-factor bands cannot be shown", BANDS_AGAIN):
            return load_bands(self.status().market, self._path)

    def chain(self) -> Activity | None:
        """As `PageData.chain`."""
        with translated("The chain cannot be shown"):
            try:
                with data.store.Reader.open(self._path) as store, store.one_state(), self._lock:
                    found = newest_activity(store)
                    if found is None:
                        return None
                    [(batch,)] = store.rows("SELECT max(batch) FROM fact_batch")
                    # Charts and cards of one page ask one after the other: they share what was read once.
                    if self._chain is None or self._chain[0] != (*found, batch):
                        self._chain = (*found, batch), load_activity(store, *found)
                    return self._chain[1]
            except NOTHING_YET as error:
                raise Unavailable("No blocks yet", str(error), FILL) from error

    def liquidations(self, wallet: str | None = None, *, largest: bool = False) -> tuple[Liquidation, ...]:
        """As `PageData.liquidations`."""
        with translated("The liquidations cannot be shown"):
            try:
                return load_liquidations(self.status().market, self._path, wallet=wallet, largest=largest)
            except NOTHING_YET as error:
                raise Unavailable("No liquidations yet", str(error), FILL) from error

    def quotes(self, market: rc.Market) -> tuple[Ladder, ...]:
        """As `PageData.quotes`."""
        with translated("The quotes cannot be shown"):
            return load_quotes(market, self._path)

    def headroom(self, market: rc.Market) -> Headroom:
        """As `PageData.headroom`."""
        with translated("The room of the reserves cannot be shown"):
            return load_headroom(market, self._path)

    def adapters(self, market: rc.Market) -> Mapping[int, Adapter]:
        """As `PageData.adapters`."""
        with translated("The oracles' adapters cannot be shown"):
            return load_adapters(market, self._path)

    def queue(self, snapshot: rc.Snapshot) -> ShownQueue | None:
        """As `PageData.queue`."""
        with translated("The queue cannot be shown"):
            return load_queue(snapshot, self._path)

    def repaid(self) -> Repaid:
        """As `PageData.repaid`."""
        with translated("The liquidations cannot be shown"):
            try:
                return load_repaid(self.status().market, self._path)
            except NOTHING_YET as error:
                raise Unavailable("No liquidations yet", str(error), FILL) from error

    def publications(self) -> tuple[Publication, ...]:
        """As `PageData.publications`."""
        with translated("The publications cannot be shown"):
            try:
                return load_publications(self.status().market, self._path)
            except NOTHING_YET as error:
                raise Unavailable("No snapshot yet", str(error), FILL) from error

    def post_mortem(self, transaction: str, log_index: str | None = None) -> PostMortem:
        """As `PageData.post_mortem`."""
        try:
            with translated("The liquidation cannot be told"):
                try:
                    key = key_of(transaction, log_index)
                    with data.store.Reader.open(self._path) as store:
                        [(batch,)] = store.rows("SELECT max(batch) FROM fact_batch")
                    with self._lock:  # the charts of one page ask one after the other
                        if (key, batch) not in self._told:
                            self._told[key, batch] = post_mortem(*key, db=self._path)
                            while len(self._told) > TOLD:
                                self._told.popitem(last=False)
                        return self._told[key, batch]
                except NOTHING_YET as error:
                    raise Unavailable("No liquidations yet", str(error), FILL) from error
        except Unavailable as nothing:
            if isinstance(nothing.__cause__, data.errors.NoLiquidation):
                raise rc.InputError(str(nothing.__cause__)) from nothing
            raise

    def _load(self, wanted: str) -> LoadedMarket:
        at = next((s for s in data.snapshot.available(db=self._path) if s.hash == wanted), None)
        if at is None:
            raise data.errors.NoSnapshot(f"snapshot {wanted[:16]} is not in the warehouse any more; reload the page")
        market = data.load_market(block=at.block, market=at.market, db=self._path)
        assets = _assets(market, self._path)
        return LoadedMarket.build(market, assets, _daily_moves(market, assets, self._path))


def _run(stored: data.results.RiskRun) -> ShownRun:
    """The stored run as pages show it."""
    estimates = {
        (measure, round(level, 6)): ShownFigure(
            f.value, f.low, f.high, f.se, f.n_positive, f.few_draws, f.no_interval or ""
        )
        for (measure, level), f in stored.figures.items()
    }
    stressed = stored.stressed(0.99)
    return ShownRun(
        market=stored.market,
        block=stored.block,
        block_time=stored.block_time,
        scenario_id=stored.scenario_id,
        scenario=stored.scenario(),
        seed=stored.seed,
        n_paths=stored.n_paths,
        horizon_hours=stored.horizon_seconds / 3600,
        policy=stored.policy,
        code_version=stored.code_version,
        created_at=stored.created_at,
        synthetic=stored.is_synthetic,
        looks_ahead=stored.looks_ahead,
        estimates=MappingProxyType(estimates),
        law=stored.law[1],
        stressed_usd=stressed[0].value if stressed else None,
        stressed_words=stressed[1] if stressed else "",
        fan=MappingProxyType(stored.series.get("fan", {})),
        histogram=MappingProxyType(stored.series.get("histogram", {})),
        seized_by_reserve=MappingProxyType(stored.series.get("seized_by_reserve", {})),
        curves=MappingProxyType({name: stored.series[name] for name in TAIL if name in stored.series}),
    )


def _assets(market: rc.Market, path: Path | str | None) -> AssetMap:
    """What moves each reserve, in the market's order."""
    columns = COLUMNS
    rows = {
        row[columns.index("asset")]: row for row in mapped_reserves(market.snapshot.market, path, market.snapshot.block)
    }
    unknown = [s for s, a in zip(market.reserves.symbol, market.reserves.asset, strict=True) if a not in rows]
    if unknown:
        raise data.errors.UnmappedReserve(f"no price series is known for {', '.join(unknown)}; add rows to dim_asset")
    chosen = [
        [rows[asset][columns.index(name)] for asset in market.reserves.asset] for name in ("factor", "kind", "series")
    ]
    return AssetMap.build(market.reserves.symbol, *chosen)


def _daily_moves(market: rc.Market, assets: AssetMap, path: Path | str | None) -> dict[str, np.ndarray]:
    """Driver to its sorted daily moves; only for drivers that have a price series of their own.

    Plain rows, not a frame: pandas is never imported here. Dash looks for it in `sys.modules` when it writes JSON,
    and fails on the half-imported module while another thread is still importing it.
    """
    named = {driver: assets.own_series(driver) for driver in ("eth", "btc", "usdc")}
    sql = (
        "SELECT ts, price_usd FROM dim_prices WHERE symbol = ? AND interval = '1h' AND is_synthetic = ? AND ts % ? = 0 "
        "AND source = ?"
    )
    source = data.prices.SYNTHETIC if market.snapshot.synthetic else data.prices.SERVED
    with data.store.Reader.open(path) as store:
        rows = {d: store.rows(sql, (s, int(market.snapshot.synthetic), DAY, source)) for d, s in named.items() if s}
    return {d: daily_moves(*np.array(found).T) for d, found in rows.items() if found}


def daily_moves(ts: np.ndarray, price: np.ndarray) -> np.ndarray:
    """Relative moves from one midnight (UTC) to the next, sorted ascending; days with a missing end are left out."""
    at = {int(t): float(p) for t, p in zip(ts, price, strict=True) if t % DAY == 0}
    moves = np.sort([at[t] / at[t - DAY] - 1 for t in at if t - DAY in at])
    moves.setflags(write=False)
    return moves
