// Compiles the Aave contracts of the npm package, and our own test doubles, into build/contracts.json:
//   {key, versions, contracts: {Name: {abi, bytecode, links: {Library: [byteOffset]}, runtime}}}
// `key` is a hash of everything that goes in, so an unchanged tree compiles once.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(fileURLToPath(import.meta.url));
const modules = join(root, 'node_modules');
const target = join(root, 'build', 'contracts.json');
const read = (...parts) => readFileSync(join(...parts), 'utf8');
const version = (name) => JSON.parse(read(modules, name, 'package.json')).version;

// What a market consists of, by folder of the package. The folder of the source is not part of a contract's name.
const AAVE = {
  'protocol/configuration': ['PoolAddressesProvider', 'ACLManager'],
  'protocol/libraries/logic': [
    'BorrowLogic', 'ConfiguratorLogic', 'FlashLoanLogic', 'LiquidationLogic', 'PoolLogic', 'SupplyLogic',
  ],
  'protocol/libraries/helpers': ['Errors'],
  instances: ['PoolInstance', 'PoolConfiguratorInstance', 'ATokenInstance', 'VariableDebtTokenInstance'],
  misc: ['AaveOracle', 'DefaultReserveInterestRateStrategyV2'],
  helpers: ['AaveProtocolDataProvider'],
};

// The package imports by foundry names and brings no remapping file.
const ALIASES = [
  ['openzeppelin-contracts/contracts/', '@openzeppelin/contracts/'],
  ['openzeppelin-contracts-upgradeable/contracts/', '@openzeppelin/contracts-upgradeable/'],
  ['solidity-utils/', '@bgd-labs/solidity-utils/src/'],
];

function locate(unit) {
  if (unit.startsWith('double/')) return join(root, 'contracts', unit.slice('double/'.length));
  const alias = ALIASES.find(([from]) => unit.startsWith(from));
  return join(modules, alias ? alias[1] + unit.slice(alias[0].length) : unit);
}

const wanted = new Map();
for (const [folder, names] of Object.entries(AAVE)) {
  for (const name of names) wanted.set(`@aave-dao/aave-v3-origin/src/contracts/${folder}/${name}.sol`, [name]);
}
for (const file of readdirSync(join(root, 'contracts')).filter((f) => f.endsWith('.sol')).sort()) {
  const names = [...read(root, 'contracts', file).matchAll(/^contract (\w+)/gm)].map((m) => m[1]);
  wanted.set(`double/${file}`, names);
}

const outputs = ['abi', 'evm.bytecode.object', 'evm.bytecode.linkReferences', 'evm.deployedBytecode.object'];
const settings = {
  // As upstream builds: PoolInstance stays below the code size limit of EIP-170 without via-IR.
  evmVersion: 'shanghai',
  optimizer: { enabled: true, runs: 200 },
  metadata: { bytecodeHash: 'none', appendCBOR: false },
  remappings: ALIASES.map((pair) => pair.join('=')),
  outputSelection: Object.fromEntries(
    [...wanted].map(([unit, names]) => [unit, Object.fromEntries(names.map((n) => [n, outputs]))])),
};

const versions = Object.fromEntries(
  ['@aave-dao/aave-v3-origin', '@openzeppelin/contracts', 'solc'].map((name) => [name, version(name)]));
const doubles = [...wanted.keys()].filter((unit) => unit.startsWith('double/')).map((unit) => readFileSync(locate(unit), 'utf8'));
const key = createHash('sha256').update(JSON.stringify([versions, settings, doubles])).digest('hex');

if (existsSync(target) && JSON.parse(readFileSync(target, 'utf8')).key === key) {
  console.log('contracts: compiled before');
  process.exit(0);
}

const started = Date.now();
const solc = createRequire(import.meta.url)('solc');
const answer = JSON.parse(solc.compile(
  JSON.stringify({
    language: 'Solidity',
    settings,
    sources: Object.fromEntries([...wanted.keys()].map((unit) => [unit, { content: readFileSync(locate(unit), 'utf8') }])),
  }),
  {
    import: (unit) => {
      const file = locate(unit);
      return existsSync(file) ? { contents: readFileSync(file, 'utf8') } : { error: `not found: ${unit}` };
    },
  }));
const failures = (answer.errors ?? []).filter((e) => e.severity === 'error');
if (failures.length) {
  console.error(failures.slice(0, 5).map((e) => e.formattedMessage).join('\n'));
  process.exit(1);
}

const contracts = {};
for (const [unit, names] of wanted) {
  for (const name of names) {
    const { abi, evm } = answer.contracts[unit][name];
    const links = {};
    for (const libraries of Object.values(evm.bytecode.linkReferences)) {
      for (const [library, places] of Object.entries(libraries)) links[library] = places.map((p) => p.start);
    }
    contracts[name] = { abi, bytecode: evm.bytecode.object, links, runtime: evm.deployedBytecode.object };
  }
}
mkdirSync(dirname(target), { recursive: true });
writeFileSync(target, JSON.stringify({ key, versions, contracts }));
console.log(`contracts: compiled in ${((Date.now() - started) / 1000).toFixed(1)} s with solc ${versions.solc}`);
