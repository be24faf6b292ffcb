"""Flow `publish-metric`: publish a figure of the newest risk run in a feed on a chain.

The figure is checked against the feed before anything is sent, and nothing is sent without `--send`. A figure is
published once: this flow and the feed both refuse the same inputs again. A transaction is stored in
`fact_metric_publication` before it is sent, so that after a killed run the next run continues with it.
"""

from __future__ import annotations

from data import results
from data.store.store import Store
from flows import settings
from flows.clients.json_rpc import RpcError
from flows.clients.signer import Signed
from flows.clients.transactions import Mined, NonceTaken, Patience, Sender
from flows.errors import ConfigurationError, SourceUnavailable, WrongOption
from flows.pipeline import recorded
from flows.publication.errors import NotPublished
from flows.publication.feed import FeedState, MetricFeed, require_accepted
from flows.publication.figure import Published, of_run
from flows.publication.ledger import OPEN, Attempt, Ledger, attempts
from flows.publication.making import FLOW_NAME, declare, make_feed, terms_of
from flows.publication.options import PublishMetricOptions
from flows.publication.place import FEED, Chain, address_of, chain_of, cost, patience_of, require_allowed

TRIES = 3
"""Most attempts when other transactions take the nonce."""


def run(asked: PublishMetricOptions) -> str:
    """Publish, or say what would be published; returns one line.

    Raises `NotPublished`, `data.errors.NoResult`, `data.errors.ResultRefused` and the errors of `flows.clients`.
    """
    if asked.send and asked.chain_id is None:
        raise WrongOption("--send needs --chain-id N: the chain that is meant, which the node must be on")
    of = of_run(results.latest(market=asked.market), asked.measure, asked.level)
    if not (asked.deploy or asked.declare):
        given = [name for name in ("highest", "publisher") if getattr(asked, name) is not None]
        given += ["lowest"] if asked.lowest else []
        if given:
            raise WrongOption(f"--{given[0]} goes with --deploy or --declare: a feed that is there has its own")
    terms = terms_of(asked, of) if asked.deploy or asked.declare else None
    address = (
        None
        if asked.deploy
        else address_of(asked.contract or settings.get("PUBLISHER_CONTRACT"), f"--contract or {FEED}")
    )
    if address is None and not asked.deploy:
        if asked.send or asked.declare:
            raise ConfigurationError(
                f"no feed is named; give --contract ADDRESS or set {FEED}, or make one with --deploy"
            )
        return (
            f"dry run: {of}, inputs {of.inputs_hash[:12]}. Nothing was sent, and no feed was asked: name one in "
            f"{FEED}, or make one with --deploy"
        )
    chain = chain_of(asked)
    require_allowed(asked, of, chain)
    if terms is not None and address is None:
        return make_feed(asked, of, chain, terms)
    feed = MetricFeed(chain.rpc, str(address))
    feed.require_ours(chain.name)
    if terms is not None:
        return declare(asked, of, chain, feed, terms)
    if not asked.send or chain.sender is None:
        return _dry_run(asked, of, chain, feed)
    with Store.open() as store:
        known = attempts(store, chain.id, feed.address, chain.sender.address, feed.publish_data)
        publishing = Publishing(of, feed, chain.sender, patience_of(asked), known)
        state = feed.state(of)
        if state.round_id and not publishing.waits:
            return _before(of, state, feed)
        if not state.round_id:
            require_accepted(of, state, chain.sender.address)
        with recorded(store, FLOW_NAME, asked.model_dump()) as run:
            return publishing.done(Ledger(run, of, feed.address, chain.sender.address, state.decimals))


def _dry_run(asked: PublishMetricOptions, of: Published, chain: Chain, feed: MetricFeed) -> str:
    """One line: what would be published, after the checks of a real run."""
    state = feed.state(of)
    if state.round_id:
        return _before(of, state, feed)
    require_accepted(of, state, chain.sender.address if chain.sender else None)
    data = feed.publish_data(of.metric_id, of.answer(state.decimals), of.as_of, of.inputs_hash)
    end = cost(asked, chain, feed.address, data)
    return (
        f"dry run: {of} as {of.answer(state.decimals)} ({state.decimals} decimals), inputs {of.inputs_hash[:12]}, "
        f"would be round {state.last_round + 1} of {feed.address} on {chain.name}{end}"
    )


def _before(of: Published, state: FeedState, feed: MetricFeed) -> str:
    return f"published before: {of} is round {state.round_id} of {feed.address}; nothing was sent"


class Publishing:
    """Publishes one figure. `known`: stored transactions of the sender to the feed that may be in a block."""

    def __init__(
        self, of: Published, feed: MetricFeed, sender: Sender, patience: Patience, known: list[Attempt]
    ) -> None:
        self._of, self._feed, self._sender, self._patience = of, feed, sender, patience
        same = [one for one in known if one.row["metric_id"] == of.metric_id]
        self._own = [one for one in same if one.row["inputs_hash"] == of.inputs_hash]
        self._older = [one for one in same if one.row["inputs_hash"] != of.inputs_hash and one.row["state"] in OPEN]

    @property
    def waits(self) -> bool:
        """Whether a transaction of this figure was sent and its end is not stored."""
        return any(one.row["state"] in OPEN for one in self._own)

    def done(self, ledger: Ledger) -> str:
        """Send what is needed, wait for confirmations, and store the result; returns one line."""
        lost = next((one.row["mined_block"] for one in self._own if one.row["state"] == "confirmed"), None)
        for one in (*self._own, *self._older):
            ledger.take_up(one)
        for _ in range(TRIES):
            state = self._feed.state(self._of)
            self._settle_older(ledger)
            sent = self._taken_up(ledger, bool(state.round_id))
            if not sent and state.round_id:
                return _before(self._of, state, self._feed)
            sent = sent or [self._first(ledger, state)]
            try:
                mined = self._sender.settled(sent, self._patience, ledger.note)
            except SourceUnavailable as late:
                raise SourceUnavailable(f"{late}. Run again: it is looked for, not sent twice") from late
            except NonceTaken as taken:
                ledger.replace(sent[0].unsigned.nonce, "", str(taken))
                continue
            return self._confirmed(ledger, mined, lost)
        raise NotPublished(
            f"nonces of {self._sender.address} were used by other transactions {TRIES} times in a row; let one program "
            "send at a time, then run again"
        )

    def _confirmed(self, ledger: Ledger, mined: Mined, lost: int | None) -> str:
        if not mined.succeeded:
            ledger.fail(mined, f"the feed refused it in block {mined.block}")
            raise NotPublished(
                f"transaction {mined.signed.hash}: the feed refused it in block {mined.block:,}; run again for why"
            )
        state = self._feed.state(self._of)
        if not state.round_id:
            raise NotPublished(f"transaction {mined.signed.hash} was in block {mined.block:,} and is gone; run again")
        ledger.confirm(mined, state.round_id)
        again = f" again (block {lost:,}, which had it, was replaced)" if lost is not None else ""
        return (
            f"published{again}: {self._of} is round {state.round_id} of {self._feed.address}, transaction "
            f"{mined.signed.hash} in block {mined.block:,}, {mined.confirmations} confirmations"
        )

    def _settle_older(self, ledger: Ledger) -> None:
        """Store the end of older figures' transactions whose nonces are used by now."""
        mined_nonces, _ = self._sender.nonces()
        for one in [one for one in self._older if one.nonce < mined_nonces]:
            mined = self._sender.mined([self._sender.again(one.unsigned)])
            if mined is not None and mined.confirmations < self._patience.confirmations:
                continue  # a later run stores how it ends
            round_id = 0
            if mined is not None and mined.succeeded:
                round_id = self._feed.round_of(one.row["metric_id"], one.row["inputs_hash"])
                if not round_id:
                    continue  # its block was replaced in between
            self._older.remove(one)
            if mined is None:
                ledger.replace_one(one, f"another transaction of {self._sender.address} has its nonce {one.nonce}")
            elif mined.succeeded:
                ledger.confirm(mined, round_id)
            else:
                ledger.fail(mined, f"the feed refused it in block {mined.block}")

    def _taken_up(self, ledger: Ledger, published: bool) -> list[Signed]:
        """This figure's stored transactions to wait for; those in no block are sent again."""
        own, self._own = self._own, []
        if published:  # most likely by one of these: look up its block
            own = [one for one in own if one.row["state"] in OPEN]
        else:
            mined_nonces, _ = self._sender.nonces()
            for one in [one for one in own if one.nonce < mined_nonces]:
                ledger.replace_one(one, f"another transaction of {self._sender.address} has its nonce {one.nonce}")
            own = [one for one in own if one.nonce >= mined_nonces]
        own = [one for one in own if one.nonce == own[0].nonce]
        sent = [self._sender.again(one.unsigned) for one in own]
        if sent and not published:
            row = own[-1].row
            gone = row["state"] == "confirmed"
            why = f"block {row['mined_block']}, which had it, was replaced" if gone else "a run before was ended"
            self._sender.submit(sent[-1])
            ledger.note(sent[-1], "sent", f"{why}; sent again")
        return sent

    def _first(self, ledger: Ledger, state: FeedState) -> Signed:
        """Send a new transaction: it replaces an older figure's that still waits, else it has the next nonce."""
        of = self._of
        require_accepted(of, state, self._sender.address)
        mined_nonces, next_nonce = self._sender.nonces()
        stuck = [one for one in self._older if one.nonce >= mined_nonces]
        stuck = [one for one in stuck if one.nonce == stuck[0].nonce]
        data = self._feed.publish_data(of.metric_id, of.answer(state.decimals), of.as_of, of.inputs_hash)
        nonce, above = (stuck[-1].nonce, stuck[-1].unsigned) if stuck else (next_nonce, None)
        signed = self._sender.prepared(self._feed.address, data, nonce, self._patience.max_fee, above)
        instead = f"instead of {stuck[-1].row['transaction_hash']}, whose figure is older" if stuck else ""
        ledger.note(signed, "prepared", instead)
        try:
            self._sender.submit(signed)
        except RpcError as refused:
            ledger.note(signed, "failed", f"the node refused it: {refused.reason}")
            raise
        ledger.note(signed, "sent", instead)
        return signed
