"""Create a feed and add a metric to it, which its owner does before the first round."""

from __future__ import annotations

from data.store.store import Store
from flows.clients.transactions import Mined, Sender
from flows.errors import ConfigurationError, SourceUnavailable, WrongOption
from flows.pipeline import recorded
from flows.publication.errors import NotPublished
from flows.publication.feed import MetricFeed, Terms, creation_data
from flows.publication.figure import Published
from flows.publication.options import PublishMetricOptions
from flows.publication.place import FEED, KEY, Chain, address_of, cost, patience_of

FLOW_NAME = "publish-metric"


def terms_of(asked: PublishMetricOptions, of: Published) -> Terms:
    """Decimals and bounds of a metric; the default bounds of a fraction are 0 and 1. Raises `WrongOption`."""
    highest = asked.highest if asked.highest is not None else 1.0 if of.unit == "fraction" else None
    if highest is None:
        raise WrongOption(f"--highest is missing: the largest {of.measure} in {of.unit} that the feed shall take")
    lowest = asked.lowest if asked.lowest is not None else 0.0
    if lowest > highest:
        raise WrongOption(f"--lowest {lowest:g} is above --highest {highest:g}")
    return Terms(decimals=asked.decimals, lowest=lowest, highest=highest)


def make_feed(asked: PublishMetricOptions, of: Published, chain: Chain, terms: Terms) -> str:
    """Create a feed with the figure's metric, owned by the sender; returns one line."""
    publisher = address_of(asked.publisher, "--publisher") or (chain.sender.address if chain.sender else None)
    if publisher is None:
        raise ConfigurationError(f"no publisher: give --publisher ADDRESS, or set {KEY}")
    data = creation_data(chain.rpc, publisher, of, terms)
    what = f"a feed of {of.metric!r} with publisher {publisher}, {_bounds(of, terms)}"
    if not asked.send or chain.sender is None:
        return f"dry run: would make {what}, on {chain.name}{cost(asked, chain, None, data)}"
    mined = _mined(asked, chain.sender, None, data)
    return (
        f"made {what}, at {mined.contract} on {chain.name} in block {mined.block:,}; its owner is "
        f"{chain.sender.address}. Set {FEED}={mined.contract}"
    )


def declare(asked: PublishMetricOptions, of: Published, chain: Chain, feed: MetricFeed, terms: Terms) -> str:
    """Add the figure's metric to a feed, once; returns one line."""
    state = feed.state(of)
    if state.known:
        return f"the feed {feed.address} has the metric {of.metric!r} already: nothing to do"
    if chain.sender is not None and chain.sender.address != state.owner:
        raise NotPublished(f"wrong key: {chain.sender.address} is not the feed's owner {state.owner}; nothing was sent")
    data = feed.declare_data(of, terms)
    what = f"{of.metric!r} to the feed {feed.address} on {chain.name}, {_bounds(of, terms)}"
    if not asked.send or chain.sender is None:
        return f"dry run: would add {what}{cost(asked, chain, feed.address, data)}"
    return f"added {what}, in block {_mined(asked, chain.sender, feed.address, data).block:,}"


def _mined(asked: PublishMetricOptions, sender: Sender, to: str | None, data: str) -> Mined:
    """Send a transaction and wait until it is confirmed; returns where it was mined."""
    patience = patience_of(asked)
    with Store.open() as store, recorded(store, FLOW_NAME, asked.model_dump()):
        signed = sender.prepared(to, data, sender.nonces()[1], patience.max_fee)
        sender.submit(signed)
        try:
            mined = sender.settled([signed], patience, lambda *_: None)
        except SourceUnavailable as late:
            raise SourceUnavailable(f"{late}. Look for it before you run again, which sends another") from late
        if not mined.succeeded:
            raise NotPublished(f"transaction {mined.signed.hash} was refused in block {mined.block:,}")
    return mined


def _bounds(of: Published, terms: Terms) -> str:
    return f"{terms.lowest:,.10g} to {terms.highest:,.10g} {of.unit}, {terms.decimals} decimals"
