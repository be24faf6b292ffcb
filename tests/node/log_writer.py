"""A contract of a dozen instructions that writes any log: the call data are its topics, then its data.

Hand-assembled here, so that ERC-721, ERC-1155 and malformed logs need no contract of anybody else's.
"""

from __future__ import annotations


def creation(topics: int) -> str:
    """Creation code of a contract that answers every call with LOG`topics`: so many words of topics, then the data."""
    code = b""
    for place in reversed(range(topics)):
        # PUSH1 place*32, CALLDATALOAD: the last topic first, since the first is taken from the top
        code += bytes([0x60, 32 * place, 0x35])
    at = 32 * topics
    code += bytes(
        [
            0x60,
            at,  # PUSH1 at          where the data begins
            0x36,  # CALLDATASIZE
            0x03,  # SUB               size of the data
            0x80,  # DUP1
            0x60,
            at,  # PUSH1 at          from the call data
            0x60,
            0x00,  # PUSH1 0           to memory 0
            0x37,  # CALLDATACOPY
            0x60,
            0x00,  # PUSH1 0           offset; beneath it the size, then the topics
            0xA0 + topics,  # LOG0 to LOG4
            0x00,  # STOP
        ]
    )
    loader = bytes(
        [
            0x60,
            len(code),  # PUSH1 size
            0x80,  # DUP1
            0x60,
            0x0B,  # PUSH1 11          the code stands behind these eleven bytes
            0x60,
            0x00,  # PUSH1 0
            0x39,  # CODECOPY
            0x60,
            0x00,  # PUSH1 0
            0xF3,  # RETURN
        ]
    )
    return "0x" + (loader + code).hex()
