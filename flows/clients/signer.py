"""A key that signs transactions. It is read from a setting, and never shown, stored or sent."""

from __future__ import annotations

import re
from dataclasses import dataclass

from eth_account import Account
from eth_utils import to_checksum_address

from flows import redaction
from flows.errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsigned:
    """An EIP-1559 transaction without its signature. `to`: None where it creates a contract; fees: wei per gas."""

    chain_id: int
    nonce: int
    to: str | None
    data: str
    gas: int
    max_fee: int
    priority_fee: int

    @property
    def most_wei(self) -> int:
        """Most that it can cost, wei; it transfers no value."""
        return self.gas * self.max_fee


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A signed transaction: its `hash`, and its `raw` bytes in hexadecimal for `eth_sendRawTransaction`."""

    unsigned: Unsigned
    hash: str
    raw: str


class Signer:
    """The holder of a key of 32 bytes. `variable`: the setting that has it. Raises `ConfigurationError`."""

    def __init__(self, key: str, variable: str) -> None:
        # With and without 0x: a message could have the key in either form.
        digits = key.strip().removeprefix("0x").removeprefix("0X")
        redaction.remember(variable, digits)
        if not re.fullmatch("[0-9a-fA-F]{64}", digits):
            raise ConfigurationError(
                f"{variable}: expected a private key of 64 hexadecimal digits, found another text of {len(digits)} "
                "characters, which is not shown"
            )
        try:
            self._account = Account.from_key(bytes.fromhex(digits))
        except ValueError:  # its text may quote the key
            raise ConfigurationError(
                f"{variable}: expected a private key, found a number that is 0 or too large"
            ) from None

    @property
    def address(self) -> str:
        """The account of the key, in lower case."""
        return self._account.address.lower()

    def sign(self, unsigned: Unsigned) -> Signed:
        """The transaction with its signature; the same transaction gives the same bytes (RFC 6979)."""
        fields = {
            "type": 2,
            "chainId": unsigned.chain_id,
            "nonce": unsigned.nonce,
            "value": 0,
            "data": unsigned.data,
            "gas": unsigned.gas,
            "maxFeePerGas": unsigned.max_fee,
            "maxPriorityFeePerGas": unsigned.priority_fee,
        }
        signed = self._account.sign_transaction(
            fields | ({} if unsigned.to is None else {"to": to_checksum_address(unsigned.to)})
        )
        return Signed(unsigned=unsigned, hash=signed.hash.to_0x_hex(), raw=signed.raw_transaction.to_0x_hex())
