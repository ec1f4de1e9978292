/** One micro-benchmark in a process of its own: its figure is on stdout as JSON. Under --cpu-prof, that is all the profile has. */
import { parseArgs } from 'node:util';
import { MICROS } from './list.js';
import { measure } from './measure.js';

const { values } = parseArgs({ options: { name: { type: 'string' } } });
const spec = MICROS.find(({ name }) => name === values.name);
if (spec === undefined) throw new Error(`there is no micro-benchmark "${values.name ?? ''}"`);
process.stdout.write(`${JSON.stringify(await measure(spec, false))}\n`);
