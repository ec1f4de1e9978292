/**
 * Topology: one producer (the main thread), at a fixed rate whatever becomes of its events → one consumer (a worker thread).
 * Question: how late are events at 10, 50 and 90 % of what the system has just carried at most?
 *
 * A time runs from the moment at which the event was to be sent, which it carries, to its handler's start. So whatever holds
 * the producer up counts too: what is due meanwhile is late already when it is sent (no coordinated omission).
 *
 * Each system has its own maximum, so the rates differ: the details tell them.
 */
import { LatencyRecorder, nowMs } from '../latency.js';
import { nativeSystems } from '../native-systems.js';
import type { Latency, Measurement, Parameters, Scenario } from '../scenario.js';
import { measureThroughput } from '../throughput.js';
import { checkTally, makeTick, symbolsOf, type Tally, type Tick, TickTally } from '../ticks.js';

export const openLoad: Scenario = {
  name: 'open-load',
  question: 'events at a fixed rate, half of the maximum: µs from the intended time to the handler, p99',
  unit: 'µs',
  better: 'lower',
  systems: [
    { name: 'lanebus', module: 'lanebus-open-load', subject: true, parameters: (quick) => loading(2_000_000, quick) },
    { name: 'post-message', module: 'post-message-open-load', parameters: (quick) => loading(120_000, quick) },
    ...nativeSystems((quick) => loading(4_000_000, quick)),
  ],
  rounds: { full: 5, quick: 2 },
};

function loading(events: number, quick: boolean): Parameters {
  const count = quick ? events / 4 : events;
  return { events: count, warmup: count / 2, slices: 3, levelMs: quick ? 250 : 1_000, settleMs: 50, symbols: 16 };
}

const LEVELS = [10, 50, 90] as const;
const VALUE_LEVEL = 50;

/** A producer that is behind sends much at once, and is to notice when there is no room: it waits for every 64th event. */
const AWAIT_MASK = 63;

/** Every 17th event is timed: all of them would slow the consumer down, and 16 would meet the same place of each group. */
const SAMPLE_EVERY = 17;

/** What the consumer saw of a stream; it crosses threads. */
export interface LoadResult {
  readonly tally: Tally;
  readonly latency: Latency;
}

/** The consumer, the same for every system. */
export class LoadLog {
  readonly #tally = new TickTally();
  #recorder = new LatencyRecorder();
  #untilSample = SAMPLE_EVERY;

  take(tick: Tick): void {
    if (--this.#untilSample === 0) {
      this.#untilSample = SAMPLE_EVERY;
      this.#recorder.record(nowMs() - tick.exchangeTime);
    }
    this.#tally.take(tick);
  }

  /** What was seen so far; the next stream starts from nothing. */
  close(): LoadResult {
    const { latency } = this.#recorder;
    this.#recorder = new LatencyRecorder();
    return { tally: this.#tally.close(), latency };
  }
}

/** What differs from system to system. */
export interface LoadSender {
  /** At full speed. @returns What to wait for before the next one. */
  tryTick(tick: Tick): Promise<unknown> | undefined;
  /** At a rate. @returns What a producer waits for now and then, and once it has sent all that is due. */
  tick(tick: Tick): Promise<unknown> | undefined;
  end(): Promise<LoadResult>;
}

export async function measureOpenLoad(parameters: Parameters, sender: LoadSender): Promise<Measurement> {
  const { levelMs, settleMs, drop = -1 } = parameters;
  const symbols = symbolsOf(parameters);
  const most = await measureThroughput(parameters, {
    async run(events): Promise<LoadResult> {
      for (let at = 0; at < events; at++) {
        const room = at === drop ? undefined : sender.tryTick(makeTick(at, symbols));
        if (room !== undefined) await room;
      }
      return sender.end();
    },
    check({ tally }, events) {
      checkTally(tally, events, symbols);
    },
  });

  const details: Record<string, number> = { mostPerSecond: most.value };
  let latency: Latency | undefined;
  for (const level of LEVELS) {
    const perMs = (most.value / 1e3) * (level / 100);
    await sendPaced(sender, Math.ceil(settleMs * perMs), perMs, symbols, drop);
    const found = await sendPaced(sender, Math.ceil(levelMs * perMs), perMs, symbols, drop);
    for (const [name, micros] of Object.entries(found.latency)) details[`${name} at ${level} %`] = micros as number;
    details[`rate at ${level} %`] = found.perSecond;
    if (level === VALUE_LEVEL) latency = found.latency;
  }
  if (latency === undefined) throw new Error(`no level is ${VALUE_LEVEL} %`);
  return { value: latency.p99, latency, details };
}

/** A producer that sleeps would be late by the timer's grain: this one looks at the clock all the time. */
async function sendPaced(
  sender: LoadSender,
  events: number,
  perMs: number,
  symbols: readonly string[],
  drop: number,
): Promise<{ latency: Latency; perSecond: number }> {
  const startedAt = nowMs();
  for (let at = 0; at < events;) {
    const due = Math.min(events, Math.floor((nowMs() - startedAt) * perMs) + 1);
    let sent: Promise<unknown> | undefined;
    for (; at < due; at++) {
      if (at === drop) continue;
      const tick = makeTick(at, symbols);
      tick.exchangeTime = startedAt + at / perMs;
      sent = sender.tick(tick);
      if ((at & AWAIT_MASK) === AWAIT_MASK && sent !== undefined) await sent;
    }
    if (sent !== undefined) await sent;
  }
  const seconds = (nowMs() - startedAt) / 1e3;
  const { tally, latency } = await sender.end();
  checkTally(tally, events, symbols);
  return { latency, perSecond: events / seconds };
}
