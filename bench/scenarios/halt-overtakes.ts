/**
 * Topology: one producer (the main thread) → one worker thread, which reads a flood of ticks that never ends and handles
 * a HALT every millisecond. Question: how long is it from just before the publish of a HALT to its handler's start, when
 * the thread is never inside another handler for long?
 *
 * The HALT tells how many ticks went before it, so that the details show how many it has overtaken.
 */
import { LatencyRecorder, nowMs } from '../latency.js';
import type { Latency, Measurement, Parameters, Scenario } from '../scenario.js';
import { median } from '../statistics.js';
import { checkTally, symbolsOf, type Tally } from '../ticks.js';
import { stepsOf } from '../work.js';

export const haltOvertakes: Scenario = {
  name: 'halt-overtakes',
  question: "an urgent event every ms in a flood of others: µs from its publish to its handler's start, p99",
  unit: 'µs',
  better: 'lower',
  systems: [
    { name: 'lanebus', module: 'lanebus-halts', subject: true, parameters: (quick) => flooding(quick) },
    // On the port of the ticks, behind them.
    { name: 'post-message', module: 'post-message-halts', parameters: (quick) => flooding(quick, { ownPort: 0 }) },
    // On a port of its own to the same worker.
    { name: 'message-channel', module: 'post-message-halts', parameters: (quick) => flooding(quick, { ownPort: 1 }) },
    { name: 'cpp', module: 'cpp', parameters: (quick) => flooding(quick) },
    // In the one ring that there is: each waits for as long as the flood before it takes, so fewer have to do.
    {
      name: 'disruptor',
      module: 'disruptor',
      parameters: (quick) => flooding(quick, { warmup: 10, events: quick ? 30 : 150 }),
    },
  ],
  targets: [{ title: 'halt-overtakes under flood, p99 µs', of: { system: 'lanebus' }, atMost: 20 }],
  rounds: { full: 5, quick: 2 },
};

function flooding(quick: boolean, more?: Parameters): Parameters {
  const workSteps = stepsOf(TICK_MICROS);
  return { warmup: 200, events: quick ? 300 : 1_500, everyMicros: 1_000, symbols: 16, workSteps, ...more };
}

/** A tick's handler takes so long, so that the ticks come faster than they are handled: there is a flood to overtake. */
const TICK_MICROS = 0.3;
/** Ticks between two looks at the clock. */
const TICKS_A_LOOK = 32;

export interface Halt {
  readonly type: 'HALT';
  readonly sequence: number;
  /** When its publisher was about to send it, on `nowMs`. */
  readonly at: number;
  /** Ticks that went before it. */
  readonly ticksBefore: number;
}

/** What differs from system to system. */
export interface FloodSender {
  /** @returns What to wait for before the next tick. */
  tick(at: number): Promise<unknown> | undefined;
  halt(halt: Halt): void;
}

/** @returns Ticks sent. `events` counts the HALTs. */
export async function flood(parameters: Parameters, sender: FloodSender): Promise<number> {
  const { warmup, events, everyMicros, drop = -1 } = parameters;
  let at = 0;
  for (let sequence = 0; sequence < warmup + events; sequence++) {
    const due = nowMs() + everyMicros / 1e3;
    do {
      for (let tick = 0; tick < TICKS_A_LOOK; tick++, at++) {
        const room = at === drop ? undefined : sender.tick(at);
        if (room !== undefined) await room;
      }
    } while (nowMs() < due);
    sender.halt({ type: 'HALT', sequence, at: nowMs(), ticksBefore: at });
  }
  return at;
}

/** What the consumer found of the HALTs; it crosses threads. */
export interface HaltResult {
  readonly count: number;
  readonly inOrder: boolean;
  readonly latency: Latency;
  /** Median of the ticks that a HALT has overtaken. */
  readonly overtaken: number;
}

export class HaltLog {
  readonly #warmup: number;
  readonly #recorder = new LatencyRecorder();
  readonly #overtaken: number[] = [];
  #count = 0;
  #inOrder = true;

  constructor({ warmup }: Parameters) {
    this.#warmup = warmup;
  }

  /** @param ticks Ticks that the consumer has handled. */
  take({ sequence, at, ticksBefore }: Omit<Halt, 'type'>, ticks: number): void {
    const ms = nowMs() - at;
    if (sequence !== this.#count) this.#inOrder = false;
    this.#count++;
    if (sequence < this.#warmup) return;
    this.#recorder.record(ms);
    this.#overtaken.push(ticksBefore - ticks);
  }

  get result(): HaltResult {
    const { latency } = this.#recorder;
    return { count: this.#count, inOrder: this.#inOrder, latency, overtaken: median(this.#overtaken) };
  }
}

/** Throws unless all ticks and all HALTs have come, each in the order of its kind. */
export function toMeasurement(halts: HaltResult, tally: Tally, ticks: number, parameters: Parameters): Measurement {
  const { warmup, events } = parameters;
  checkTally(tally, ticks, symbolsOf(parameters));
  const { count, inOrder, latency, overtaken } = halts;
  if (count !== warmup + events || !inOrder) {
    throw new Error(`${count} HALTs, in order: ${inOrder}; expected ${warmup + events}, in order`);
  }
  return { value: latency.p99, latency, details: { ticks, overtaken } };
}
