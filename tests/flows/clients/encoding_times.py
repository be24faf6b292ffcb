"""What encoding costs: 20,000 balance calls by hand, and with web3's contract object. `python -m` this module."""

from __future__ import annotations

import time

from eth_utils import to_checksum_address
from web3 import Web3

from flows.clients.abis import SCALED_BALANCE_OF
from flows.clients.web3_provider import contract_at


def encoded(calls: int) -> tuple[list[str], list[str], float, float]:
    """Call data by hand and by web3, and the seconds of processor time that each took."""
    holders = [f"0x{number:040x}" for number in range(1, calls + 1)]
    started = time.process_time()
    by_hand = [SCALED_BALANCE_OF.encode(holder) for holder in holders]
    between = time.process_time()
    contract = contract_at(Web3(), f"0x{1:040x}", [SCALED_BALANCE_OF])
    by_web3 = [contract.encode_abi("scaledBalanceOf", [to_checksum_address(holder)]) for holder in holders]
    ended = time.process_time()
    return by_hand, by_web3, between - started, ended - between


if __name__ == "__main__":
    _, _, by_hand, by_web3 = encoded(20_000)
    print(f"20,000 balance calls: {by_hand:.2f} s by hand, {by_web3:.2f} s with a contract object")
