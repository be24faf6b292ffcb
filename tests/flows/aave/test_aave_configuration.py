"""What must be said in the environment, and what the command line says back."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from flows import __main__ as command_line
from flows.errors import (
    ConfigurationError,
    SourceRefused,
    SourceUnavailable,
)
from tests.flows.aave.conftest import nothing_is_stored, run
from tests.flows.aave.fake_node import FakeNode, serving


def test_no_node_configured(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("ETH_RPC_URL", raising=False)

    with pytest.raises(ConfigurationError, match=r"ETH_RPC_URL is not set \(nor ETH_RPC_URL_FILE\)"):
        run()


def test_the_address_of_the_node_may_come_from_a_file(node: FakeNode, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    secret = tmp_path / "url"
    secret.write_text(os.environ["ETH_RPC_URL"] + "\n")
    monkeypatch.delenv("ETH_RPC_URL")
    monkeypatch.setenv("ETH_RPC_URL_FILE", str(secret))

    assert "at block 21" in run()


def test_an_unreachable_node_is_named_without_its_key(monkeypatch: pytest.MonkeyPatch):
    with serving(FakeNode()) as url:
        pass  # closed again: nobody listens there now
    monkeypatch.setenv("ETH_RPC_URL", url)

    with pytest.raises(
        SourceUnavailable, match=r"http://127\.0\.0\.1:\d+ cannot be reached .*tried 3 times"
    ) as refusal:
        run()

    assert "SECRETKEY" not in str(refusal.value)
    assert nothing_is_stored()


@pytest.mark.parametrize(
    ("name", "message"),
    [("AaveV3Base", "is on chain 31337, AaveV3Base is on chain 8453"),
     ("AaveV3Etherum", "not in the address book.*Did you mean AaveV3Ethereum")],
)  # fmt: skip
def test_a_market_of_another_chain_or_of_no_book(
    node: FakeNode, monkeypatch: pytest.MonkeyPatch, name: str, message: str
):
    monkeypatch.delenv("AAVE_POOL_ADDRESSES_PROVIDER")
    monkeypatch.setenv("AAVE_MARKET", name)

    with pytest.raises(ConfigurationError, match=message):
        run()


def test_a_provider_that_is_no_address(node: FakeNode, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AAVE_POOL_ADDRESSES_PROVIDER", "0x1234")

    with pytest.raises(ConfigurationError, match="expected 0x and 40 hex digits, found '0x1234'"):
        run()


def test_a_block_that_the_node_does_not_have(node: FakeNode):
    with pytest.raises(SourceRefused, match="does not have block 22; its newest is 21"):
        run("--block", "22")

    assert nothing_is_stored()


def test_the_command_line_says_one_line_and_exits_with_one(node: FakeNode, capsys: pytest.CaptureFixture[str]):
    assert command_line.main(["aave-market"]) == 0
    assert capsys.readouterr().out.startswith(f"AaveV3 at {node.provider[:10]} at block 21: 10 reserves, 3 e-modes,")

    assert command_line.main(["aave-market", "--block", "99"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.strip().splitlines()) == 1
    assert "block 99" in captured.err
