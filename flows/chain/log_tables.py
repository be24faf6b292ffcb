"""Logs of a node's answer as an Arrow table, without a Python object for each; needs pyarrow (requirements-export)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import json

from flows.errors import MalformedAnswer

MAY_LACK = ("removed", "transactionHash", "transactionIndex")
"""Fields that a log may lack: a log of no transaction has neither hash nor place of one."""
NO_TRANSACTION = "0x" + "00" * 32


def schema() -> pa.Schema:
    """A log as JSON-RPC has it."""
    texts = ("address", "blockHash", "blockNumber", "data", "logIndex", "transactionHash", "transactionIndex")
    return pa.schema(
        [*((name, pa.string()) for name in texts), ("topics", pa.list_(pa.string())), ("removed", pa.bool_())]
    )


def parsed(body: bytes) -> pa.Table | None:
    """Logs from the bytes of an answer, None where it is not plainly a list of logs.

    Arrow reads JSON line by line without Python's lock.
    """
    if b'"result":[]' in body:
        return schema().empty_table()
    lines = _lines(body)
    if lines is None:
        return None
    try:
        return json.read_json(
            pa.BufferReader(lines),
            # One block: a line may not be longer than a block, and threads already read different answers.
            read_options=json.ReadOptions(use_threads=False, block_size=max(len(lines), 1)),
            parse_options=json.ParseOptions(explicit_schema=schema(), unexpected_field_behavior="ignore"),
        )
    except pa.ArrowInvalid:  # the patient way says what is wrong, or that a text held a brace
        return None


def _lines(body: bytes) -> bytearray | None:
    """The logs of an answer, one a line; None where it holds anything else.

    A log holds no object of its own, so each brace that closes ends a log, and ",{" follows it but for the last. Numpy
    looks at bytes ten times as fast as Python's search.
    """
    start, end = body.find(b'"result":['), body.rfind(b"]")
    if start < 0:
        return None
    lines = bytearray(memoryview(body)[start + len(b'"result":[') : end])
    text = np.frombuffer(lines, np.uint8)
    ends = np.flatnonzero(text == ord("}"))
    if not len(ends) or ends[-1] != len(text) - 1 or text[0] != ord("{") or (text == ord("\n")).any():
        return None
    commas = ends[:-1] + 1
    apart = (text[commas] == ord(",")) & (text[commas + 1] == ord("{"))
    if not apart.all() or np.count_nonzero(text == ord("{")) != len(ends):
        return None
    text[commas] = ord("\n")
    return lines


def of_dicts(logs: list[dict[str, Any]]) -> pa.Table:
    """Logs that are decoded already, as the table that `parsed` gives. Raises `MalformedAnswer`."""
    try:
        return pa.Table.from_pylist(logs, schema=schema())
    except (pa.ArrowException, TypeError, ValueError) as exc:
        raise MalformedAnswer(f"eth_getLogs: a log has a field of another type ({exc})") from exc


def checked(logs: pa.Table, first: int, last: int) -> pa.Table:
    """The logs in order, counted from 0 in each block, all of blocks `first` to `last`, with numbers for quantities.

    A log that belongs to no transaction (null, or zeros) gets the hash of its block. Raises `MalformedAnswer`, also
    where logs of one block name two blocks, or a transaction two places, or two logs have the same place.
    """
    logs = logs.combine_chunks()
    empty = [name for name in logs.column_names if name not in MAY_LACK and logs[name].null_count]
    if empty:
        raise MalformedAnswer(f"eth_getLogs: a log has no {empty[0]}")
    if logs.num_rows and (pc.max(pc.list_value_length(logs["topics"])).as_py() or 0) > 4:
        raise MalformedAnswer("eth_getLogs: a log has more than four topics")
    if pc.any(pc.not_equal(pc.utf8_length(logs["topics"].combine_chunks().flatten()), 66)).as_py():
        raise MalformedAnswer("eth_getLogs: a topic is not 32 bytes")
    number, place = _quantities(logs["blockNumber"]), _quantities(logs["logIndex"])
    bounds = pc.min_max(number).as_py()
    if pc.any(logs["removed"]).as_py() or (logs.num_rows and not first <= bounds["min"] <= bounds["max"] <= last):
        raise MalformedAnswer(f"eth_getLogs: asked for blocks {first} to {last}, found logs of other or removed blocks")
    order, counted = _counted(number.to_numpy(), place.to_numpy())
    hashes, of = pc.ascii_lower(logs["blockHash"]), pc.ascii_lower(logs["transactionHash"])
    of_none = pc.fill_null(pc.equal(of, NO_TRANSACTION), True)
    whose = pc.if_else(of_none, hashes, of)
    _require_agreement(number, hashes, whose, logs["transactionIndex"])
    # Some nodes write the checksum of EIP-55 into the case of the letters.
    table = pa.table(
        {
            "block_number": number,
            "block_hash": hashes,
            "transaction_hash": whose,
            "address": pc.ascii_lower(logs["address"]),
            "topics": logs["topics"],
            "data": logs["data"],
        }
    )
    table = table if order is None else table.take(pa.array(order))
    return table.add_column(2, "log_index", pa.array(counted, pa.int32()))


def _counted(number: np.ndarray, place: np.ndarray) -> tuple[np.ndarray | None, np.ndarray]:
    """(order of logs by block and place, None where they are in order; number of each log in its block, from 0)."""
    order = None
    behind = number[1:] - number[:-1]
    if ((behind < 0) | ((behind == 0) & (place[1:] <= place[:-1]))).any():
        order = np.lexsort((place, number))
        number, place = number[order], place[order]
        twice = (number[1:] == number[:-1]) & (place[1:] == place[:-1])
        if twice.any():
            at = int(np.flatnonzero(twice)[0])
            raise MalformedAnswer(f"eth_getLogs: log {place[at]} of block {number[at]} comes twice")
    begins = np.concatenate(([True], number[1:] != number[:-1])) if len(number) else np.empty(0, bool)
    firsts = np.flatnonzero(begins)
    return order, np.arange(len(number)) - np.repeat(firsts, np.diff(np.append(firsts, len(number))))


def _require_agreement(number: Any, hashes: Any, whose: Any, index: Any) -> None:
    """One hash for each block, and in each block one place for each transaction and one transaction for each place."""
    listed = pa.table({"number": number, "block": hashes, "tx": whose, "at": index})
    # Most logs say what the one before says: only the others are looked at.
    ahead, behind = listed.slice(1), listed.slice(0, max(listed.num_rows - 1, 0))
    new = np.ones(listed.num_rows, dtype=bool)
    new[1:] = False
    for name in listed.column_names:
        new[1:] |= pc.fill_null(pc.not_equal(ahead[name], behind[name]), True).to_numpy()
    listed = listed.filter(pa.array(new)).combine_chunks()
    blocks = listed["number"].to_numpy()
    block, tx, at = (listed[name].combine_chunks().dictionary_encode() for name in ("block", "tx", "at"))
    two = _first_disagreement(blocks, _codes(block))
    if two is not None:
        one, other = (listed["block"][i].as_py() for i in two)
        raise MalformedAnswer(f"eth_getLogs: logs of block {blocks[two[0]]} name {one} and {other}")
    placed = pc.and_(pc.is_valid(listed["at"]), pc.not_equal(listed["tx"], listed["block"])).to_numpy()
    rows = np.flatnonzero(placed)
    text, whose_code, place = _codes(at)[rows], _codes(tx)[rows], _quantities(listed["at"].filter(pa.array(placed)))
    two = _first_disagreement(blocks[rows], whose_code, text)
    two = _first_disagreement(blocks[rows], place.to_numpy(), whose_code) if two is None else two
    if two is not None:
        row = int(rows[two[1]])
        raise MalformedAnswer(
            f"eth_getLogs: in block {blocks[row]} logs disagree on the place of transaction {listed['tx'][row]} "
            f"({place[two[1]]} by one)"
        )


def _codes(column: pa.DictionaryArray) -> np.ndarray:
    """A number for each different text, -1 where there is none."""
    return column.indices.fill_null(-1).to_numpy()


def _first_disagreement(*columns: np.ndarray) -> tuple[int, int] | None:
    """Two rows that are equal in all columns but the last; None where the last follows from the others."""
    order = np.lexsort(columns[-2::-1])  # stable: the earlier row comes first
    same = np.ones(max(len(order) - 1, 0), dtype=bool)
    for column in columns[:-1]:
        same &= column[order][1:] == column[order][:-1]
    wrong = np.flatnonzero(same & (columns[-1][order][1:] != columns[-1][order][:-1]))
    return (int(order[wrong[0]]), int(order[wrong[0] + 1])) if len(wrong) else None


def _quantities(column: pa.ChunkedArray) -> pa.Array:
    """Whole numbers of a column of quantities ("0x1a"); each different text is read once."""
    coded = column.combine_chunks().dictionary_encode()
    try:
        values = pa.array([int(text, 16) for text in coded.dictionary.to_pylist()], pa.int64())
    except (ValueError, OverflowError) as exc:
        raise MalformedAnswer(f"eth_getLogs: a quantity cannot be read ({exc})") from exc
    return values.take(coded.indices)
