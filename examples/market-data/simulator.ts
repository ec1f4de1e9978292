import type { MboEvent } from './catalog.js';
import { Random } from './random.js';
import { Tape } from './tape.js';
import type { Instrument } from './venue.js';
import { Venue } from './venue.js';

export interface SimulatorOptions {
  /** The same seed and number of instruments give the same events. */
  readonly seed: number;
  readonly instruments: number;
}

// Tick sizes are about half a basis point of the price, as those of the real contracts.
const KNOWN_INSTRUMENTS: readonly Instrument[] = [
  { name: 'ESH4', ticksPerUnit: 4, openingTick: 19_200 },
  { name: 'NQH4', ticksPerUnit: 1, openingTick: 16_940 },
  { name: 'RTYH4', ticksPerUnit: 10, openingTick: 20_550 },
  { name: 'YMH4', ticksPerUnit: 0.5, openingTick: 18_850 },
  { name: 'GCG4', ticksPerUnit: 10, openingTick: 20_690 },
  { name: '6EH4', ticksPerUnit: 20_000, openingTick: 22_110 },
  { name: '6BH4', ticksPerUnit: 20_000, openingTick: 25_420 },
  { name: '6AH4', ticksPerUnit: 20_000, openingTick: 13_670 },
];

// What the reference data shows of one contract: most messages come alone, some in bursts of up to 145 within a millisecond,
// and between bursts it is quiet, from milliseconds to many seconds. [share of the bursts below, value]
const BURST_EVENTS = [
  [0, 1],
  [0.5, 1],
  [0.75, 3],
  [0.9, 8],
  [0.99, 60],
  [1, 145],
] as const;
const QUIET_MS = [
  [0, 1],
  [0.1, 3.5],
  [0.5, 74],
  [0.75, 320],
  [0.9, 881],
  [0.99, 3_253],
  [1, 16_000],
] as const;
const NS_PER_MS = 1_000_000;
const SHOCK_EVENTS = 145;
const BURSTS_PER_SHOCK = 4_000;
const LEAST_SHOCK_TICKS = 12;
const SHOCK_RANGE_TICKS = 24;

/**
 * An exchange that never closes: first the opening book of every instrument, then burst after burst, each within about a
 * millisecond of exchange time. What it sends depends on the options alone, not on when it is asked.
 */
export function* simulate(options: SimulatorOptions): Generator<readonly MboEvent[], never> {
  const random = new Random(options.seed);
  const tape = new Tape(random);
  const venues: Venue[] = [];
  for (const instrument of instrumentsOf(options.instruments)) {
    const venue = new Venue(instrument, random, tape);
    venue.open();
    venues.push(venue);
    yield tape.take();
  }
  for (;;) {
    // Every instrument has its bursts, so the more there are, the shorter the quiet between any two bursts.
    tape.wait((random.quantile(QUIET_MS) * NS_PER_MS) / venues.length);
    const venue = venues[random.below(venues.length)];
    if (random.below(BURSTS_PER_SHOCK) === 0) {
      const ticks = LEAST_SHOCK_TICKS + random.below(SHOCK_RANGE_TICKS);
      venue.shock(random.below(2) === 0 ? ticks : -ticks, SHOCK_EVENTS);
    } else {
      venue.burst(Math.round(random.quantile(BURST_EVENTS)));
    }
    yield tape.take();
  }
}

/** The first so many instruments of the exchange. */
export function instrumentsOf(count: number): Instrument[] {
  return Array.from({ length: count }, (_, index) => instrumentAt(index));
}

function instrumentAt(index: number): Instrument {
  if (index < KNOWN_INSTRUMENTS.length) return KNOWN_INSTRUMENTS[index];
  return { name: `SIM${index + 1}`, ticksPerUnit: 4, openingTick: 16_000 + 40 * index };
}
