"""What was carried forward as columns is what the same accounts give one by one."""

from __future__ import annotations

import random
from dataclasses import replace

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.amounts import Terms, positions
from flows.aave import checks as cross_checks
from flows.aave.account_columns import AccountColumns, holdings
from flows.aave.accounts import Account, AccountData
from flows.aave.contracts import Contracts, EMode
from flows.aave.incremental import checks as carried_checks
from flows.aave.incremental.carry import Carried
from flows.aave.rows import MarketState, to_frames
from flows.clients.block_reader import Block
from risk_core.units import WAD
from tests.benchmarks import book_node

RESERVES = [
    replace(r, normalized_income=r.normalized_income + 7**r.id, normalized_debt=r.normalized_debt + 11**r.id)
    for r in book_node.reserves()
]
EMODES = [
    EMode(id=i, label=f"mode {i}", ltv=9000, liquidation_threshold=9500, liquidation_bonus=10100, collateral=bits,
          borrowable=bits, ltvzero=0, isolated=False)
    for i, bits in ((1, 0b1010), (7, 0b110001))
]  # fmt: skip
IDS = [r.id for r in RESERVES]
BALANCES = st.dictionaries(
    st.sampled_from(IDS), st.one_of(st.integers(1, 1_000), st.integers(1, 10**24)), min_size=1, max_size=4
)


@st.composite
def account_lists(draw: st.DrawFn) -> list[Account]:
    """Accounts as a pool may hold them: every debt has its flag, supply may be enabled or not."""
    accounts = []
    for number in draw(st.lists(st.integers(1, 10**6), unique=True, min_size=1, max_size=12)):
        supply, debt = draw(BALANCES), draw(st.one_of(st.just({}), BALANCES))
        flags = sum(1 << 2 * i for i in debt) | sum(draw(st.sampled_from([0, 2])) << 2 * i for i in supply)
        accounts.append(Account(f"0x{number:040x}", flags, draw(st.sampled_from([0, 1, 7])), supply, debt))
    return sorted(accounts, key=lambda account: account.address)


def rows_of(accounts: list[Account]) -> dict[str, pd.DataFrame]:
    """The rows of a market of which all accounts were read."""
    zero = "0x" + "00" * 20
    contracts = Contracts(
        chain_id=1, provider=zero, pool=zero, oracle=zero, data_provider=zero, revision=11, base_currency_unit=10**8
    )
    return to_frames(
        MarketState(
            market="M", block=Block(5, "0x" + "00" * 32, 9), contracts=contracts, reserves=RESERVES, emodes=EMODES,
            accounts=accounts, account_data={accounts[0].address: AccountData(3, 2, WAD)},
            checked=cross_checks.Checked(0, 0),
        )
    )  # fmt: skip


@given(account_lists())
def test_accounts_that_were_carried_hold_what_their_rows_say(accounts: list[Account]):
    carried = Carried(4, 1, AccountColumns.of(accounts), [], frozenset())
    frames = rows_of(accounts)
    terms = {r.id: Terms(r.normalized_income, r.normalized_debt, 10**r.decimals) for r in RESERVES}

    found = carried_checks.as_untouched(RESERVES, carried)

    states, balances = frames["raw_aave_account_states"], frames["raw_aave_balances"]
    expected = positions(states, balances.assign(stable_debt=None), terms)
    assert list(found.account["account"]) == states["account"].tolist()
    assert list(found.account["emode_id"]) == states["emode_id"].tolist()
    assert {name: list(values) for name, values in found.position.items()} == {
        name: list(values) for name, values in expected.items()
    }
    assert frames["raw_aave_account_data"].values.tolist() == [["M", 5, accounts[0].address, "3", "2", str(WAD)]]


@given(account_lists(), st.randoms(use_true_random=False))
def test_a_book_gives_its_accounts_back(accounts: list[Account], draw: random.Random):
    kept = AccountColumns.of(draw.sample(accounts, len(accounts)))
    some = {account.address for account in draw.sample(accounts, draw.randrange(len(accounts) + 1))}
    rest = [account for account in accounts if account.address not in some]

    assert list(kept.accounts()) == accounts
    assert list(kept.without(some).accounts()) == rest
    assert kept.sums() == holdings(accounts)
    assert kept.without(some).sums() == holdings(rest)
    assert "0x" not in kept
    with pytest.raises(KeyError):
        kept.account("0x")


@given(account_lists())
def test_floats_miss_nobody_below_one(accounts: list[Account]):
    rules = cross_checks.Rules(RESERVES, EMODES)
    below = {a.address for a in accounts if rules.account_data(a).health_factor < WAD}

    assert below <= set(carried_checks.doubtful(RESERVES, EMODES, AccountColumns.of(accounts)))


def at_the_edge(number: int, debt: int, above: bool) -> Account:
    """Collateral of reserve 0 against debt of reserve 4 (a dollar each), one unit from health factor 1."""
    rules = cross_checks.Rules(RESERVES, EMODES)
    account = Account(f"0x{number:040x}", 0b10 | 1 << 8, 0, {0: debt}, {4: debt})
    low, high = 1, 4 * debt
    while high - low > 1:
        middle = (low + high) // 2
        enough = rules.account_data(replace(account, supply={0: middle})).health_factor >= WAD
        low, high = (low, middle) if enough else (middle, high)
    return replace(account, supply={0: high if above else low})


def test_of_a_large_market_everybody_below_one_is_asked_whatever_was_read(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cross_checks, "SMALL_MARKET", 10)
    monkeypatch.setattr(cross_checks, "SAMPLE", 30)
    debts = (50, 3_000, 10**9, 10**15)
    under = [at_the_edge(100 + i, debt, above=False) for i, debt in enumerate(debts)]
    over = [at_the_edge(200 + i, debt, above=True) for i, debt in enumerate(debts)]
    idle = [Account(f"0x{i:040x}", 0b10, 0, {0: 10**9}, {}) for i in range(300, 320)]
    calm = [Account(f"0x{i:040x}", 0b10 | 1 << 8, 0, {0: 10**9}, {4: 10**8}) for i in range(400, 500)]
    fresh = {account.address: account for account in (idle[0], calm[0])}
    kept = AccountColumns.of([*under, *over, *idle[1:], *calm[1:]])
    rules = cross_checks.Rules(RESERVES, EMODES)

    asked = carried_checks.accounts_to_check(rules, RESERVES, EMODES, kept, fresh, block=5)

    assert {account.address for account in under} | fresh.keys() <= set(asked)
    drawn = cross_checks.drawn({a.address for a in (*under, *over, *calm)}, 5, 3)
    assert set(asked) == drawn | {account.address for account in under} | fresh.keys()
    assert asked == sorted(asked)


def test_of_a_small_market_everybody_is_asked():
    accounts = [at_the_edge(1, 10**9, above=True), Account(f"0x{2:040x}", 0b10, 0, {0: 1}, {})]
    rules = cross_checks.Rules(RESERVES, EMODES)

    asked = carried_checks.accounts_to_check(
        rules, RESERVES, EMODES, AccountColumns.of(accounts[:1]), {accounts[1].address: accounts[1]}, block=5
    )

    assert asked == [account.address for account in accounts]
