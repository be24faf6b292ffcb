"""Swaps and changes of liquidity of stored blocks as arrays for the engine, with codes for addresses."""

from __future__ import annotations

from dataclasses import dataclass

from risk_core.analytics import mev


@dataclass(frozen=True, slots=True, kw_only=True)
class Trades:
    """Swaps and changes of liquidity with the same codes; `swap_*` and `change_*` are in their order.

    tokens: addresses of tokens; a token code of `swaps` is a place in it.
    """

    swaps: mev.Swaps
    swap_sender: tuple[str, ...]
    swap_hash: tuple[str, ...]
    changes: mev.LiquidityChanges
    change_sender: tuple[str, ...]
    change_hash: tuple[str, ...]
    tokens: tuple[str, ...]


def trades_of(paid: list[tuple], traded: list[tuple], moved: list[tuple], changed: list[tuple]) -> Trades:
    """Arrays from stored rows of the same blocks.

    paid: transactions (block, place in it, hash, sender, contract or ""). traded: swaps (block, log, hash of the
    transaction, pool, change of the pool's token 0, of its token 1). moved: transfers (hash, from, to, amount, token).
    changed: liquidity (block, log, hash, pool, mint or burn, amount of token 0, of token 1).

    A swap event does not name the pool's tokens: they are found from transfers of the same amount to and from the
    pool in the same transaction; without such a transfer the token is unknown. Rows of transactions that are not
    stored are left out.
    """
    transaction = {row[2]: (row[1], row[3], row[4]) for row in paid}

    def ordered(rows: list[tuple]) -> list[tuple]:
        kept = (row for row in rows if row[2] in transaction)
        return sorted(kept, key=lambda row: (row[0], transaction[row[2]][0], row[1]))

    swapped, provided = ordered(traded), ordered(changed)
    into = {(tx, to, amount): token for tx, _, to, amount, token in moved}
    out_of = {(tx, sender, amount): token for tx, sender, _, amount, token in moved}
    codes: dict[str, int] = {}
    tokens: dict[str, int] = {}

    def code(text: str) -> int:
        return codes.setdefault(text, len(codes)) if text else mev.ABSENT

    def token(row: tuple, amount: str) -> int:
        paid_out = amount.startswith("-")
        found = (out_of if paid_out else into).get((row[2], row[3], amount.lstrip("-")))
        return tokens.setdefault(found, len(tokens)) if found else mev.ABSENT

    def placed(rows: list[tuple]) -> dict[str, list[int]]:
        return {
            "block": [row[0] for row in rows],
            "transaction": [transaction[row[2]][0] for row in rows],
            "log": [row[1] for row in rows],
            "pool": [code(row[3]) for row in rows],
            "sender": [code(transaction[row[2]][1]) for row in rows],
            "contract": [code(transaction[row[2]][2]) for row in rows],
        }

    swaps = mev.Swaps(
        **placed(swapped),  # type: ignore[arg-type]
        token0=[token(row, row[4]) for row in swapped],
        token1=[token(row, row[5]) for row in swapped],
        amount0=[float(row[4]) for row in swapped],
        amount1=[float(row[5]) for row in swapped],
    )
    sign = {"mint": 1.0, "burn": -1.0}
    changes = mev.LiquidityChanges(
        **placed(provided),  # type: ignore[arg-type]
        amount0=[sign[row[4]] * float(row[5]) for row in provided],
        amount1=[sign[row[4]] * float(row[6]) for row in provided],
    )
    return Trades(
        swaps=swaps,
        swap_sender=tuple(transaction[row[2]][1] for row in swapped),
        swap_hash=tuple(row[2] for row in swapped),
        changes=changes,
        change_sender=tuple(transaction[row[2]][1] for row in provided),
        change_hash=tuple(row[2] for row in provided),
        tokens=tuple(tokens),
    )
