/** `npm run example:core-bus`. LANEBUS_BACKEND says which backend carries the application; it prints the same on each. */
import { type BusOptions, createBus } from 'lanebus';
import { tradingCatalog } from 'lanebus/catalogs/trading';
import { trade } from './trading.js';

const STEPS = 40;
const backend = process.env.LANEBUS_BACKEND as BusOptions['backend'];
try {
  const bus = createBus(tradingCatalog, { backend, threads: 2, logger: { level: 'warn', destination: 2 } });
  process.stdout.write(`${(await trade(bus, STEPS)).join('\n')}\n`);
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`);
  process.exitCode = 1;
}
