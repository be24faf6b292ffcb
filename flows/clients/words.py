"""Decode words of 32 bytes by column: from the hex text of many logs to numpy arrays, and from these to values.

A column of n words is decoded at once; only the text of the values is made one by one.
"""

from __future__ import annotations

from binascii import hexlify, unhexlify
from typing import Any, NamedTuple

import numpy as np

WORD = 32
HEX_WORD = 2 * WORD
SMALL = 63
"""Integers of at most this many bits become `int`, longer ones decimal text: SQLite's INTEGER has 64 bits with sign."""


class Kind(NamedTuple):
    """A type of one word: `base` is address, bool, uint, int or bytes (with its number of bits)."""

    base: str
    bits: int


def is_hex(text: str) -> bool:
    """Whether `text` is 0x and whole bytes in hexadecimal."""
    try:
        return text.startswith("0x") and 2 * len(unhexlify(text[2:])) == len(text) - 2
    except ValueError:
        return False


def words_of(texts: list[str], count: int, *, exact: bool = False) -> np.ndarray:
    """The first `count` words of each text, bytes (n, count, 32).

    Raises `ValueError` when any text is not 0x and whole words in hexadecimal, at least `count` of them (exactly
    `count` where `exact` is set).
    """
    digits = HEX_WORD * count
    lengths = set(map(len, texts)) or {2 + digits}
    if min(lengths) < 2 + digits or (exact and lengths != {2 + digits}):
        raise ValueError("another number of words")
    if len(lengths) > 1:  # further data behind the last value
        if not all(map(is_hex, texts)):
            raise ValueError("not hexadecimal")
        texts = [text[: 2 + digits] for text in texts]
        lengths = {2 + digits}
    width = lengths.pop()
    characters = np.frombuffer("".join(texts).encode("ascii"), dtype=np.uint8).reshape(len(texts), width)
    if not ((characters[:, 0] == ord("0")) & (characters[:, 1] == ord("x"))).all():
        raise ValueError("without 0x")
    raw = np.frombuffer(unhexlify(np.ascontiguousarray(characters[:, 2:])), dtype=np.uint8)
    return raw.reshape(len(texts), width // 2 - 1)[:, : WORD * count].reshape(len(texts), count, WORD)


def hex_of(word: np.ndarray) -> str:
    """A word in hexadecimal, without 0x."""
    return word.tobytes().hex()


def values_of(kind: Kind, words: np.ndarray, *, as_int: bool = False) -> tuple[list[Any], np.ndarray]:
    """(values of a column of words (n, 32), mask of those that do not fit the type, whose value is meaningless).

    `as_int`: integers of any size become `int`, none of them text.
    """
    words = np.ascontiguousarray(words)
    if kind.base == "bytes":
        size = kind.bits // 8
        return _hex_texts(words[:, :size], size), words[:, size:].any(axis=1)
    limbs = words.view(">u8").astype(np.uint64)
    if kind.base == "int":
        signed, bad = _signed(kind.bits, words, limbs)
        return (list(map(int, signed)) if as_int else signed), bad
    bad = np.zeros(len(words), dtype=bool)
    for n in range(4):
        below = 64 * (3 - n)  # bits below this limb
        if kind.bits <= below:
            bad |= limbs[:, n] != 0
        elif kind.bits < below + 64:
            bad |= (limbs[:, n] >> np.uint64(kind.bits - below)) != 0
    if kind.base == "address":
        return _hex_texts(words[:, 12:], 20), bad
    if kind.base == "bool":
        return (limbs[:, 3] == 1).tolist(), bad
    if kind.bits <= SMALL:
        return limbs[:, 3].tolist(), bad
    return (_integers(limbs) if as_int else decimal_texts(limbs)), bad


def decimal_texts(limbs: np.ndarray) -> list[str]:
    """Decimal text of unsigned 256-bit integers given as four 64-bit limbs each, highest first: (n, 4) uint64."""
    return list(map(str, _integers(limbs)))


def _integers(limbs: np.ndarray) -> list[int]:
    values: list[int] = limbs[:, 3].tolist()
    middle = np.flatnonzero(limbs[:, 2])
    for j, high in zip(middle.tolist(), limbs[middle, 2].tolist(), strict=True):
        values[j] |= high << 64
    wide = np.flatnonzero(limbs[:, 0] | limbs[:, 1])
    for j, (a, b) in zip(wide.tolist(), limbs[wide, :2].tolist(), strict=True):
        values[j] |= a << 192 | b << 128
    return values


def _signed(bits: int, words: np.ndarray, limbs: np.ndarray) -> tuple[list[Any], np.ndarray]:
    low = limbs[:, 3].view(np.int64)
    sign = (low >> np.int64(63)).view(np.uint64)  # all ones below zero
    narrow = (limbs[:, :3] == sign[:, None]).all(axis=1)
    if bits <= 64:
        top = low >> np.int64(bits - 1)
        bad = ~narrow | ((top != 0) & (top != -1))
        return (low.tolist() if bits <= SMALL + 1 else list(map(str, low.tolist()))), bad
    texts = list(map(str, low.tolist()))
    bad = np.zeros(len(words), dtype=bool)
    for j in np.flatnonzero(~narrow).tolist():
        value = int.from_bytes(words[j].tobytes(), "big", signed=True)
        texts[j] = str(value)
        bad[j] = not -(1 << (bits - 1)) <= value < 1 << (bits - 1)
    return texts, bad


def _hex_texts(values: np.ndarray, size: int) -> list[str]:
    step = 2 + 2 * size
    characters = np.empty((len(values), step), dtype=np.uint8)
    characters[:, :2] = (ord("0"), ord("x"))
    characters[:, 2:] = np.frombuffer(hexlify(np.ascontiguousarray(values)), dtype=np.uint8).reshape(
        len(values), 2 * size
    )
    text = characters.tobytes().decode("ascii")
    return [text[at : at + step] for at in range(0, step * len(values), step)]
