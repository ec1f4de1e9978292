/** One measurement of one system in a process of its own: its last line on stdout is the measurement as JSON. */
import { parseArgs } from 'node:util';
import type { Parameters, SystemScenarios } from './scenario.js';

const { values } = parseArgs({
  options: { scenario: { type: 'string' }, module: { type: 'string' }, parameters: { type: 'string' } },
});
const { scenario = '', module = '', parameters = '{}' } = values;

const { scenarios } = (await import(module.startsWith('file:') ? module : `./systems/${module}.js`)) as {
  scenarios: SystemScenarios;
};
if (!Object.hasOwn(scenarios, scenario)) throw new Error(`${module} does not run scenario "${scenario}"`);
const measurement = await scenarios[scenario](JSON.parse(parameters) as Parameters);
process.stdout.write(`${JSON.stringify(measurement)}\n`);
