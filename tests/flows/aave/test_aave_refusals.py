"""Bad answers: each ends in one clear message, nothing half-written, and a re-run completes."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from eth_abi import encode

import data
from flows.errors import (
    CrossCheckFailed,
    FlowError,
    MalformedAnswer,
    SourceRefused,
    SourceUnavailable,
)
from tests.flows.aave.conftest import nothing_is_stored, run, stored
from tests.flows.aave.fake_node import FakeNode, Refused, word

# Refusals. Each takes back what it did to the node, so that the re-run can be tried.


def drop_a_holder(node: FakeNode) -> None:
    token = node.reserve("USDC")["aTokenAddress"]
    victim = next(log["topics"][2] for log in node.logs if log["address"] == token)
    node.logs = [log for log in node.logs if victim not in log["topics"]]


def replace_the_block(node: FakeNode) -> None:
    def hook(method: str, params: list) -> None:
        if method == "eth_call" and "bf92857c" in params[0]["data"]:  # getUserAccountData comes last
            node.hash_salt = 7

    node.before = hook


def a_price(symbol: str, answer: bytes | None) -> Callable[[FakeNode], None]:
    return lambda node: node.say(
        node.oracle, "getAssetPrice(address)", node.reserve(symbol)["underlyingAsset"], answer=answer
    )


def of_pool(signature: str, *args: str | int, answer: bytes | None) -> Callable[[FakeNode], None]:
    return lambda node: node.say(node.pool, signature, *args, answer=answer)


def of_weth(signature: str, answer: bytes | None) -> Callable[[FakeNode], None]:
    return lambda node: node.say(node.pool, signature, node.reserve("WETH")["underlyingAsset"], answer=answer)


def account_data(change: int) -> Callable[[FakeNode], None]:
    def apply(node: FakeNode) -> None:
        user, row = node.recorded["users"][3], [int(v) for v in node.recorded["accounts"]["base"][3]]
        row[5] += change
        answer = encode(["uint256"] * 6, row)
        node.say(node.pool, "getUserAccountData(address)", user["address"], answer=answer)

    return apply


def no_borrowing_flag(node: FakeNode) -> None:
    user = node.recorded["users"][3]
    node.say(node.pool, "getUserConfiguration(address)", user["address"], answer=word(0b1010))


def http(*answers: tuple[int, bytes]) -> Callable[[FakeNode], None]:
    return lambda node: node.http_answers.extend(answers)


def refuse(method: str, code: int, message: str) -> Callable[[FakeNode], None]:
    def hook(asked: str, params: list) -> None:
        if asked == method:
            raise Refused(code, message)

    return lambda node: setattr(node, "before", hook)


HTML = b"<html><body>Sign in</body></html>"
REFUSALS: dict[str, tuple[Callable[[FakeNode], None], type[FlowError], str]] = {
    "unknown revision": (of_pool("POOL_REVISION()", answer=word(12)), SourceRefused,
                         r"POOL_REVISION 12, .*known: 10 \(v3.6\), 11 \(v3.7\)"),
    "other base currency": (lambda n: n.say(n.oracle, "BASE_CURRENCY_UNIT()", answer=word(10**18)), SourceRefused,
                            "only USD with 8 decimals"),
    "no contract": (lambda n: setattr(n, "provider", "0x" + "11" * 20), SourceRefused,
                    "no contract at the PoolAddressesProvider"),
    "no reserves": (of_pool("getReservesList()", answer=encode(["address[]"], [[]])), SourceRefused,
                    "lists no reserves"),
    "price zero": (a_price("LINK", word(0)), CrossCheckFailed, "oracle price of LINK: .* found price 0"),
    "price reverts": (a_price("WBTC", None), CrossCheckFailed, "oracle price of WBTC: .* found no price"),
    "emode bitmap missing": (of_pool("getEModeCategoryCollateralBitmap(uint8)", 2, answer=None), MalformedAnswer,
                             "getEModeCategoryCollateralBitmap of e-mode 2 .* is refused"),
    "emode bitmap empty": (of_pool("getEModeCategoryLtvzeroBitmap(uint8)", 1, answer=b""), MalformedAnswer,
                           "getEModeCategoryLtvzeroBitmap of e-mode 1 .* answers nothing"),
    "emode bitmap too wide": (of_pool("getEModeCategoryBorrowableBitmap(uint8)", 1, answer=word(1 << 128)),
                              MalformedAnswer, "getEModeCategoryBorrowableBitmap of e-mode 1 .* does not fit uint128"),
    "reserve data too short": (of_weth("getReserveData(address)", word(1)), MalformedAnswer,
                               "getReserveData of WETH .* answers 32 bytes"),
    "reserve list garbled": (of_pool("getReservesList()", answer=b"\xff" * 64), MalformedAnswer, "getReservesList"),
    "missing grace period": (of_weth("getLiquidationGracePeriod(address)", None), MalformedAnswer,
                             "getLiquidationGracePeriod of WETH"),
    "index disagrees": (of_weth("getReserveNormalizedIncome(address)", word(10**27)), CrossCheckFailed,
                        "normalized income of WETH: the pool says 1000000000000000000000000000, .* is 1000320900"),
    "holder missed": (drop_a_holder, CrossCheckFailed,
                      r"(aToken|debt token) of \w+ .*scaledTotalSupply is \d+, .* sum to \d+ \(difference \d+\)"),
    "health factor differs": (account_data(+1), CrossCheckFailed,
                              r"health_factor of account 0x434339d4\w+: getUserAccountData says 1047598176777719058, "
                              r".* it is 1047598176777719057"),
    "borrowing flag missing": (no_borrowing_flag, CrossCheckFailed, "0x434339d4.* has no borrowing flag for reserve 3"),
    "unknown emode": (lambda n: n.say(n.pool, "getUserEMode(address)", n.recorded["users"][3]["address"],
                                      answer=word(77)), CrossCheckFailed, "in e-mode 77, which the pool does not"),
    "block replaced": (replace_the_block, CrossCheckFailed, "block 21 was replaced while it was read"),
    "no state": (refuse("eth_call", -32000, "missing trie node 12ab"), SourceRefused,
                 "does not have the state at block 21 .*archive node"),
    "logs refused": (refuse("eth_getLogs", -32005, "limit exceeded"), SourceRefused,
                     "refuses the logs of the single block .* limit exceeded"),
    "logs of wrong shape": (lambda n: n.logs.append(n.logs[-1] | {"topics": n.logs[-1]["topics"][:1]}),
                            MalformedAnswer, "expected a log with address, blockNumber and topics"),
    "server error": (http(*[(503, b"busy")] * 3), SourceUnavailable, r"answers HTTP 503: busy; tried 3 times"),
    "rate limit": (http(*[(429, b"slow down")] * 3), SourceUnavailable, r"answers HTTP 429: slow down; tried 3 times"),
    "rate limit inside": (refuse("eth_chainId", -32005, "rate limit reached"), SourceUnavailable,
                          "keeps refusing eth_chainId for its load"),
    "unauthorised": (http((401, b"who are you")), SourceRefused, "refuses with HTTP 401; check the key"),
    "login page": (http(*[(200, HTML)] * 3), MalformedAnswer, "not JSON, beginning '<html><body>Sign in"),
    "not an object": (http(*[(200, b'"hello"')] * 3), MalformedAnswer, "answers eth_chainId with str"),
    "no result": (http(*[(200, b'{"jsonrpc": "2.0", "id": 0}')] * 3), MalformedAnswer, "found none for request 0"),
    "odd chain id": (http((200, json.dumps({"id": 0, "result": "mainnet"}).encode())), MalformedAnswer,
                     "eth_chainId: expected a hexadecimal quantity, found 'mainnet'"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSALS)
def test_a_bad_answer_ends_in_one_message_and_a_rerun_completes(
    node: FakeNode, case: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    spoil, kind, message = REFUSALS[case]
    healthy = dict(node.answers), list(node.logs), node.before, node.provider
    spoil(node)
    monkeypatch.setenv("AAVE_POOL_ADDRESSES_PROVIDER", node.provider)
    node.provider = healthy[3]

    with pytest.raises(kind, match=message) as refusal:
        run()

    assert "SECRETKEY" not in str(refusal.value)
    assert nothing_is_stored()
    node.answers, node.logs, node.before = healthy[:3]
    monkeypatch.setenv("AAVE_POOL_ADDRESSES_PROVIDER", node.provider)
    run()
    assert data.load_market(verify=True).snapshot.block == node.tip


def test_the_run_is_noted_with_its_end(node: FakeNode):
    a_price("LINK", word(0))(node)
    with pytest.raises(CrossCheckFailed):
        run()

    ((state, message, params),) = stored("SELECT state, message, params FROM fact_run")
    assert state == "failed"
    assert "oracle price of LINK" in message
    assert "SECRETKEY" not in params
