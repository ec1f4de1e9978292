/** What is to be measured: the scenarios, and what the flags of the command line make of one. */
import { availableParallelism } from 'node:os';
import type { WhenFull } from '../../main/index.js';
import { UsageError } from '../usage-error.js';

/** A record's header, which takes room in the lane beside the payload. */
const HEADER_BYTES = 16;
/** Records are stored in steps of so many bytes. */
const STEP_BYTES = 8;
/** That of the lane, if the records leave it as it is. */
const CAPACITY_BYTES = 4 * 2 ** 20;
/** The bus wants two records to fit; a lane of so few is always full. */
const RECORDS_IN_CAPACITY = 8;
const MIN_RECORDS_IN_CAPACITY = 2;

export const MIN_PAYLOAD_BYTES = 16;
export const MAX_PAYLOAD_BYTES = 8_323_048;
export const MIN_CAPACITY_BYTES = 2 ** 10;
export const MAX_CAPACITY_BYTES = 2 ** 30;

type Flag = 'threads' | 'subscriptions' | 'urgentRate';

interface Scenario {
  readonly topology: string;
  /** Which of the flags that not every scenario has it goes by. */
  readonly takes: readonly Flag[];
}

/** By name, as in the benchmark suite of the repository. */
export const SCENARIOS = {
  'one-to-one': { topology: 'one publisher, one subscription on a pool thread', takes: [] },
  'fan-out': {
    topology: 'one publisher, --subscriptions that each get every event, on --threads',
    takes: ['threads', 'subscriptions'],
  },
  keyed: { topology: 'one publisher, one subscription with a key that --threads share', takes: ['threads'] },
  'ping-pong': { topology: 'an event to a pool thread and the answer back, one at a time unless --rate', takes: [] },
  'halt-overtakes': {
    topology: 'one-to-one, with --urgent-rate halts a second that overtake the flood',
    takes: ['urgentRate'],
  },
} as const satisfies Readonly<Record<string, Scenario>>;

export type ScenarioName = keyof typeof SCENARIOS;

/** As commander hands them over. */
export interface Flags {
  readonly seconds: number;
  readonly warmup: number;
  readonly payload: number;
  readonly threads?: number;
  readonly subscriptions?: number;
  readonly rate?: number;
  readonly work: number;
  readonly backend: 'parallel' | 'inline';
  readonly whenFull: WhenFull;
  readonly capacity?: number;
  readonly urgentRate?: number;
  readonly spin?: number;
  readonly progress?: true;
  readonly json?: true;
}

export interface Plan {
  readonly scenario: ScenarioName;
  readonly seconds: number;
  readonly warmupSeconds: number;
  /** As stored: a multiple of 8. */
  readonly payloadBytes: number;
  readonly threads: number;
  readonly subscriptions: number;
  /** Events a second; undefined = as fast as possible. */
  readonly rate: number | undefined;
  readonly workMicros: number;
  readonly backend: 'parallel' | 'inline';
  readonly whenFull: WhenFull;
  readonly capacityBytes: number;
  /** Undefined where the lane's default has room for the records. */
  readonly maxRecordBytes: number | undefined;
  /** Halts a second; undefined but for halt-overtakes. */
  readonly urgentRate: number | undefined;
  /** Undefined = the bus's default. */
  readonly spinMicros: number | undefined;
}

/** @throws UsageError for flags that do not go together */
export function planOf(scenario: ScenarioName, flags: Flags): Plan {
  const { takes }: Scenario = SCENARIOS[scenario];
  for (const flag of ['threads', 'subscriptions', 'urgentRate'] as const) {
    const given = flags[flag];
    if (given === undefined || takes.includes(flag)) continue;
    const scenarios = Object.entries<Scenario>(SCENARIOS).filter(([, known]) => known.takes.includes(flag));
    throw new UsageError(
      `--${kebab(flag)} ${given} means nothing to ${scenario}; expected with: ${scenarios.map(([name]) => name).join(', ')}`,
    );
  }
  const { rate, whenFull, backend, spin } = flags;
  if (whenFull === 'spill' && rate === undefined) {
    throw new UsageError(
      '--when-full spill without --rate: as fast as possible, what waits in memory has no bound; expected a --rate',
    );
  }
  if (backend === 'inline' && spin !== undefined) {
    throw new UsageError(`--spin ${spin} is for pool threads; expected with --backend parallel`);
  }
  const cores = availableParallelism();
  const pool = Math.max(1, cores - 1);
  const payloadBytes = Math.ceil(flags.payload / STEP_BYTES) * STEP_BYTES;
  return {
    scenario,
    seconds: flags.seconds,
    warmupSeconds: flags.warmup,
    payloadBytes,
    // One thread for a key's subscription would be one-to-one.
    threads: takes.includes('threads') ? (flags.threads ?? (scenario === 'keyed' ? Math.max(2, pool) : pool)) : 1,
    subscriptions: takes.includes('subscriptions') ? (flags.subscriptions ?? 4) : 1,
    rate,
    workMicros: flags.work,
    backend,
    whenFull,
    ...roomFor(HEADER_BYTES + payloadBytes, flags),
    urgentRate: takes.includes('urgentRate') ? (flags.urgentRate ?? 1_000) : undefined,
    spinMicros: spin,
  };
}

/** A lane that takes the records, of the capacity that was given. */
function roomFor(recordBytes: number, { capacity, payload }: Flags): Pick<Plan, 'capacityBytes' | 'maxRecordBytes'> {
  const least = powerOfTwoFrom(recordBytes * MIN_RECORDS_IN_CAPACITY);
  if (capacity !== undefined && capacity < least) {
    throw new UsageError(
      `--capacity ${capacity} is less than two records of --payload ${payload}; expected a power of two from ${grouped(least)} to ${grouped(MAX_CAPACITY_BYTES)}`,
    );
  }
  const capacityBytes = capacity ?? Math.max(CAPACITY_BYTES, powerOfTwoFrom(recordBytes * RECORDS_IN_CAPACITY));
  return { capacityBytes, maxRecordBytes: recordBytes > capacityBytes / RECORDS_IN_CAPACITY ? recordBytes : undefined };
}

function powerOfTwoFrom(bytes: number): number {
  return 2 ** Math.ceil(Math.log2(bytes));
}

function kebab(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

export function grouped(value: number): string {
  return value.toLocaleString('en-US');
}
