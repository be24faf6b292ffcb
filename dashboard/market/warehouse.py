"""Where pages get their data: the newest snapshot and its newest run, loaded once for each snapshot.

The cache is keyed by the snapshot's hash and holds immutable markets, so a page keeps the snapshot it was built from
while a newer one arrives, and no reader changes what others see.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

import data
import risk_core as rc
from dashboard.market.bands import Bands, load_bands
from dashboard.market.chain import Activity, Liquidation, load_activity, load_liquidations, newest_activity
from dashboard.market.checks import check_run
from dashboard.market.clusters import ClusterFit, load_clusters
from dashboard.market.fits import StoredFit, load_fits
from dashboard.market.forecasts import Ledger, load_forecasts
from dashboard.market.liquidators import Repaid, load_repaid
from dashboard.market.loaded import LoadedMarket, ShownRun
from dashboard.market.loading import load_snapshot, shown_run
from dashboard.market.looking_back import StoredBlock, load_blocks
from dashboard.market.page_data import AGAIN, PageData, Status, Unavailable, translated
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
from data.quotes import Ladder, load_quotes
from data.rates import Rates, load_rates
from data.snapshot.changes import Changes, between

KEPT = 3
"""Markets and runs kept in memory: of the newest snapshot, and of those that open pages may still show."""
TOLD = 8
"""Post-mortems, and changes between two blocks, kept in memory."""
FILL = "python -m data.sample"
BANDS_AGAIN = "python -m flows health-factor-bands --force"
NOTHING_YET = (data.errors.WarehouseMissing, data.errors.NoSnapshot)


class Warehouse(PageData):
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
                        self._loaded[wanted] = load_snapshot(wanted, self._path)
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
                    self._runs[stored.run_id] = check_run(shown_run(stored))
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
