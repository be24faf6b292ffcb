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
    [
        ("AaveV3Base", "is on chain 31337, AaveV3Base is on chain 8453"),
        ("AaveV3Etherum", "not in the address book.*Did you mean AaveV3Ethereum"),
    ],
)
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


def test_nodes_of_several_chains(monkeypatch: pytest.MonkeyPatch):
    from flows.aave.place import node_url

    monkeypatch.delenv("AAVE_POOL_ADDRESSES_PROVIDER", raising=False)
    monkeypatch.setenv("ETH_RPC_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("RPC_URLS", "8453=http://127.0.0.1:2?a=b,c=d\n10=http://127.0.0.1:3")

    assert node_url("AaveV3Base") == "http://127.0.0.1:2?a=b,c=d"
    assert node_url("AaveV3Optimism") == "http://127.0.0.1:3"
    assert node_url("AaveV3Ethereum") == "http://127.0.0.1:1"
    monkeypatch.setenv("RPC_URLS", "https://node.example/SECRETKEY")
    with pytest.raises(ConfigurationError, match="expected entries like 8453=https://host") as refusal:
        node_url("AaveV3Base")
    assert "SECRETKEY" not in str(refusal.value)
    for entry in ("SECRETKEY", "SECRET=http://127.0.0.1:2"):  # a key pasted in an address's place
        monkeypatch.setenv("RPC_URLS", f"8453=http://127.0.0.1:2 {entry}")
        with pytest.raises(ConfigurationError, match="entry 2 has no chain id") as refusal:
            node_url("AaveV3Base")
        assert "SEC" not in str(refusal.value)


@pytest.mark.parametrize("value", ["0", "65", "four"])
def test_a_number_of_requests_that_makes_no_sense(node: FakeNode, monkeypatch: pytest.MonkeyPatch, value: str):
    monkeypatch.setenv("RPC_CONCURRENCY", value)

    with pytest.raises(
        ConfigurationError, match=f"RPC_CONCURRENCY: expected a whole number from 1 to 64, found '{value}'"
    ):
        run()
