"""Deploys the market on a fresh node by plain transactions, in the order the contracts ask for."""

from __future__ import annotations

from dataclasses import dataclass

from eth_abi import encode
from eth_utils import keccak

from tests.node.artifacts import contract
from tests.node.chain import Chain
from tests.node.configuration import Configuration, Listing

NOBODY = "0x" + "00" * 20
POOL, CONFIGURATOR = "PoolInstance", "PoolConfiguratorInstance"


def named_address(name: str) -> str:
    """An address for a role; the node signs for every sender, so no key is needed."""
    return "0x" + keccak(text=name)[-20:].hex()


TREASURY = named_address("treasury")


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """Addresses of one market, lower case. Dictionaries are keyed by symbol; `dropped` is not among them."""

    provider: str
    pool: str
    configurator: str
    oracle: str
    data_provider: str
    batch: str
    asset: dict[str, str]
    atoken: dict[str, str]
    vtoken: dict[str, str]
    feed: dict[str, str]
    reserve_id: dict[str, int]


def deploy(chain: Chain, configuration: Configuration) -> Deployment:
    """Contracts, reserves, e-modes; nobody has supplied anything yet."""
    libraries = {"LiquidationLogic": chain.create("LiquidationLogic")}
    for name in ("BorrowLogic", "SupplyLogic", "FlashLoanLogic", "PoolLogic", "ConfiguratorLogic"):
        libraries[name] = chain.create(name, libraries=libraries)
    provider = chain.create("PoolAddressesProvider", "Test market", chain.admin)
    strategy = chain.create("DefaultReserveInterestRateStrategyV2", provider)

    def on_provider(function: str, argument: str) -> None:
        chain.do(provider, "PoolAddressesProvider", function, argument, gas=8_000_000)

    on_provider("setACLAdmin", chain.admin)  # the constructor of the next contract asks for it
    acl = chain.create("ACLManager", provider)
    on_provider("setACLManager", acl)
    for role in ("addPoolAdmin", "addEmergencyAdmin"):
        chain.do(acl, "ACLManager", role, chain.admin)
    on_provider("setPoolImpl", chain.create(POOL, provider, strategy, libraries=libraries))
    on_provider("setPoolConfiguratorImpl", chain.create(CONFIGURATOR, libraries=libraries))
    chain.mine(1)
    pool = chain.call(provider, "PoolAddressesProvider", "getPool")
    configurator = chain.call(provider, "PoolAddressesProvider", "getPoolConfigurator")

    at = configuration.dropped_id
    listings = (*configuration.listings[:at], configuration.dropped, *configuration.listings[at:])
    asset, feed = {}, {}
    for item in listings:
        arguments = (f"Test {item.symbol}", item.symbol, item.decimals, pool, item.bytes32_symbol)
        asset[item.symbol] = chain.create("TestToken", *arguments)
        feed[item.symbol] = chain.create("TestFeed", f"{item.symbol} / USD", item.price)
    oracle = chain.create("AaveOracle", provider, [*asset.values()], [*feed.values()], NOBODY, NOBODY, 10**8)
    on_provider("setPriceOracle", oracle)
    data_provider = chain.create("AaveProtocolDataProvider", provider)
    on_provider("setPoolDataProvider", data_provider)  # the configurator reads it for debt ceilings

    atoken_code = chain.create("ATokenInstance", pool, NOBODY, TREASURY)
    vtoken_code = chain.create("VariableDebtTokenInstance", pool, NOBODY)
    inputs = []
    for item in listings:
        rates = encode(["(uint16,uint32,uint32,uint32)"], [item.rates])
        names = (f"Aave {item.symbol}", f"a{item.symbol}", f"Debt {item.symbol}", f"variableDebt{item.symbol}")
        inputs.append((atoken_code, vtoken_code, asset[item.symbol], *names, b"", rates))
    chain.do(configurator, CONFIGURATOR, "initReserves", inputs, gas=80_000_000)
    for item in configuration.listings:
        _configure(chain, configurator, asset[item.symbol], item)
    chain.do(configurator, CONFIGURATOR, "dropReserve", asset.pop(configuration.dropped.symbol))
    for category in configuration.categories:
        terms = (category.ltv, category.threshold, category.bonus, category.label)
        chain.do(configurator, CONFIGURATOR, "setEModeCategory", category.id, *terms)
        for function, symbols in (
            ("setAssetCollateralInEMode", category.collateral),
            ("setAssetBorrowableInEMode", category.borrowable),
        ):
            for symbol in symbols:
                chain.do(configurator, CONFIGURATOR, function, asset[symbol], category.id, True)
    chain.mine()

    def token(function: str) -> dict[str, str]:
        return {symbol: chain.call(pool, POOL, function, address) for symbol, address in asset.items()}

    return Deployment(
        provider=provider,
        pool=pool,
        configurator=configurator,
        oracle=oracle,
        data_provider=data_provider,
        batch=chain.create("Batch"),
        asset=asset,
        atoken=token("getReserveAToken"),
        vtoken=token("getReserveVariableDebtToken"),
        feed={symbol: feed[symbol] for symbol in asset},
        reserve_id={item.symbol: i for i, item in enumerate(listings) if item.symbol in asset},
    )


def _configure(chain: Chain, configurator: str, asset: str, item: Listing) -> None:
    def configure(function: str, *args: object) -> None:
        chain.do(configurator, CONFIGURATOR, function, asset, *args)

    if item.threshold:
        configure("configureReserveAsCollateral", item.ltv, item.threshold, item.bonus)
    configure("setReserveFactor", item.reserve_factor)
    configure("setLiquidationProtocolFee", item.protocol_fee)
    configure("setSupplyCap", 30_000_000_000)
    configure("setBorrowCap", 25_000_000_000)
    if item.borrowable:
        configure("setReserveBorrowing", True)
    if item.in_isolation:
        configure("setBorrowableInIsolation", True)
    if item.debt_ceiling:
        configure("setDebtCeiling", item.debt_ceiling)
    if item.siloed:
        configure("setSiloedBorrowing", True)


def multicall(deployment: Deployment, calls: list[tuple[str, str]]) -> tuple[str, str]:
    """(address, data) of one call that makes all `calls` and does not allow any of them to fail."""
    rows = [(target, False, bytes.fromhex(data[2:])) for target, data in calls]
    return deployment.batch, contract("Batch").encode("aggregate3", rows)
