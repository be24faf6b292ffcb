"""What price adapters say, one reserve and one moment at a time, in plain Python: a twin of `risk_core.oracles`."""

from __future__ import annotations


def oracle_price(market, feed, r):
    """USD per token that the oracle of reserve `r` says where the feeds say `feed` (a list of R prices)."""
    book = market.reserves
    if book.fixed_price[r]:
        return float(market.price[r])
    if book.linked_to[r] >= 0:
        other = int(book.linked_to[r])
        said = float(market.price[r]) / float(market.price[other]) * oracle_price(market, feed, other)
    elif book.ratio_of[r] >= 0:
        base = int(book.ratio_of[r])
        ratio = feed[r] / _uncapped(market, feed, base)
        said = min(ratio, float(book.ratio_cap[r])) * oracle_price(market, feed, base)
    else:
        said = feed[r]
    return min(said, float(book.price_cap[r]))


def _uncapped(market, feed, r):
    book = market.reserves
    if book.fixed_price[r]:
        return float(market.price[r])
    if book.linked_to[r] >= 0:
        other = int(book.linked_to[r])
        return float(market.price[r]) / float(market.price[other]) * _uncapped(market, feed, other)
    return feed[r]


def relative(market, moves):
    """Oracle prices over the snapshot's, (P, R, T), for feeds over the snapshot's (P, R, T)."""
    out = moves.copy()
    for path in range(moves.shape[0]):
        for step in range(moves.shape[2]):
            feed = [float(p * m) for p, m in zip(market.price, moves[path, :, step], strict=True)]
            for r in range(market.n_reserves):
                out[path, r, step] = oracle_price(market, feed, r) / market.price[r]
    return out
