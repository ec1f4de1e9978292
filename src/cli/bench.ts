/** `lanebus bench`: whether the bus is fast enough on the user's machine, with the user's payload, threads and rate. */
import { Argument, Command, InvalidArgumentError, Option } from 'commander';
import type { WhenFull } from '../main/index.js';
import {
  type Flags,
  grouped,
  MAX_CAPACITY_BYTES,
  MAX_PAYLOAD_BYTES,
  MIN_CAPACITY_BYTES,
  MIN_PAYLOAD_BYTES,
  planOf,
  type ScenarioName,
  SCENARIOS,
} from './bench/plan.js';

const POLICIES = ['block', 'reject', 'dropNewest', 'spill'] as const satisfies readonly WhenFull[];
const BACKENDS = ['parallel', 'inline'] as const satisfies readonly Flags['backend'][];

const NOTES = `
Scenarios:
${Object.entries(SCENARIOS)
  .map(([name, { topology }]) => `  ${name.padEnd(16)}${topology}`)
  .join('\n')}

What is measured:
  Latency is from tryPublish to the start of the handler; of ping-pong, to the start of the handler of the answer. With
  --rate it counts from when the event was due, also if its publisher was late or waited for room (no coordinated
  omission). Without, the lane is full, and latency is how long an event takes through a full lane: use --rate for that of
  a load that you expect. A halt counts from its own tryPublish, between two events of the flood.
  Reading a clock takes as long as publishing an event: flat out, one in 61 is timed (each if they are slow), at a rate
  at most 100,000 a second; halts and round trips all. Percentiles are from an HDR histogram of three digits.
  At a rate the bus's thread spins until the next event is due, which is in its CPU.
  Every event is a fresh object, and is checked by each handler: its content, and that it comes once and in order (of its
  key). The ledger must be exact. Otherwise: one line that says what was wrong, and exit code 1.
  Ctrl-C ends it early, with the result so far.`;

export function benchCommand(): Command {
  return new Command('bench')
    .description('measure the bus on this machine, with your payload, threads and rate')
    .addArgument(
      new Argument('[scenario]', 'what is connected to what').choices(Object.keys(SCENARIOS)).default('one-to-one'),
    )
    .option('--seconds <n>', 'length of the measurement', numberOf('seconds', 0.1, 86_400), 5)
    .option('--warmup <n>', 'seconds before that, not measured', numberOf('seconds', 0, 3_600), 1)
    .option(
      '--payload <bytes>',
      'of one event as encoded, rounded up to 8; 64 is a market tick',
      integerOf('bytes', MIN_PAYLOAD_BYTES, MAX_PAYLOAD_BYTES),
      64,
    )
    .option(
      '--threads <n>',
      'pool threads, of fan-out and keyed (default: as the bus, of keyed at least 2)',
      integerOf('threads', 1, 256),
    )
    .option('--subscriptions <n>', 'of fan-out (default: 4)', integerOf('subscriptions', 1, 256))
    .option(
      '--rate <n>',
      'events a second (default: as fast as possible)',
      integerOf('events a second', 1, 100_000_000),
    )
    .option('--work <micros>', 'µs of CPU that each event takes its handler', numberOf('µs', 0, 1_000_000), 0)
    .addOption(new Option('--backend <name>', 'what runs the handlers').choices(BACKENDS).default('parallel'))
    .addOption(new Option('--when-full <policy>', 'what the lane does without room').choices(POLICIES).default('block'))
    .option('--capacity <bytes>', 'of the lane, a power of two (default: 4 MiB, more for large payloads)', capacity)
    .option(
      '--urgent-rate <n>',
      'halts a second, of halt-overtakes (default: 1000)',
      integerOf('halts a second', 1, 100_000),
    )
    .option(
      '--spin <micros>',
      'µs that a pool thread looks for events before it parks (default: as the bus)',
      integerOf('µs', 0, 10_000),
    )
    .option('--progress', 'a line a second on standard error, also where that is no terminal')
    .option('--json', 'the result as one JSON object')
    .addHelpText('after', NOTES)
    .action(async (scenario: ScenarioName, flags: Flags) => {
      const plan = planOf(scenario, flags);
      // Not before it is asked for: other commands need not wait until the bus is loaded.
      const { bench } = await import('./bench/bench.js');
      await bench(plan, flags);
    });
}

function numberOf(unit: string, min: number, max: number): (given: string) => number {
  return (given) => {
    const value = given.trim() === '' ? NaN : Number(given);
    if (value >= min && value <= max) return value;
    throw new InvalidArgumentError(`Expected a number of ${unit} from ${grouped(min)} to ${grouped(max)}.`);
  };
}

function integerOf(unit: string, min: number, max: number): (given: string) => number {
  return (given) => {
    const value = given.trim() === '' ? NaN : Number(given);
    if (Number.isInteger(value) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`Expected an integer of ${unit} from ${grouped(min)} to ${grouped(max)}.`);
  };
}

function capacity(given: string): number {
  const value = Number(given);
  if (value >= MIN_CAPACITY_BYTES && value <= MAX_CAPACITY_BYTES && Number.isInteger(Math.log2(value))) return value;
  throw new InvalidArgumentError(
    `Expected a power of two of bytes from ${grouped(MIN_CAPACITY_BYTES)} to ${grouped(MAX_CAPACITY_BYTES)}.`,
  );
}
