import type { MetricsSnapshot } from 'lanebus';
import { createLogUpdate } from 'log-update';
import { restartsOf } from './killer.js';
import type { RunResult } from './result.js';
import { LETTERS } from './faults.js';
import {
  count,
  instrumentTable,
  laneTable,
  ledgerTable,
  letterTable,
  subscriptionTable,
  threadLine,
} from './tables.js';

const TABLE_INTERVAL_MS = 250;
const LINE_INTERVAL_MS = 1_000;

/** What goes on: the market of the handlers, or the pipeline. */
export interface Watched {
  readonly published: number;
  readonly halts: number;
  readonly latestHalt: { readonly instrument: string; readonly reason: string } | undefined;
  metrics(): MetricsSnapshot;
}

/** Shows a run while it goes on, until `stop` is called. */
export interface Display {
  stop(): void;
}

/** On a terminal a table that is drawn over and over, elsewhere a line a second. */
export function showProgress(market: Watched, title: string, output: NodeJS.WriteStream): Display {
  const speed = new Speed();
  if (!output.isTTY) {
    const timer = setInterval(() => {
      output.write(`${progressLine(market, speed)}\n`);
    }, LINE_INTERVAL_MS);
    return {
      stop: () => {
        clearInterval(timer);
      },
    };
  }
  const draw = createLogUpdate(output);
  const timer = setInterval(() => {
    draw(liveView(market, title, speed));
  }, TABLE_INTERVAL_MS);
  return {
    stop: () => {
      clearInterval(timer);
      draw.clear();
      draw.done();
    },
  };
}

/** Events a second since it was last asked. */
class Speed {
  #published = 0;
  #at = performance.now();

  since(published: number): number {
    const now = performance.now();
    const perSecond = ((published - this.#published) * 1_000) / (now - this.#at);
    this.#published = published;
    this.#at = now;
    return perSecond;
  }
}

function progressLine(market: Watched, speed: Speed): string {
  const { published, halts } = market;
  const metrics = market.metrics();
  const { lanes, subscriptions, uptimeMs } = metrics;
  const restarts = restartsOf(metrics);
  const depths = Object.entries(lanes)
    .filter(([, lane]) => lane.published > 0)
    .map(([name, lane]) => `${name} ${count(lane.depthEvents)}`);
  const failed = subscriptions.reduce((sum, subscription) => sum + subscription.failed + subscription.timedOut, 0);
  return [
    `${(uptimeMs / 1_000).toFixed(1)} s`,
    `${count(published)} events`,
    `${count(speed.since(published))} events/s`,
    `waiting: ${depths.join(', ')}`,
    `failed ${count(failed)}`,
    `HALT ${count(halts)}`,
    ...(restarts === 0 ? [] : [`restarts ${count(restarts)}`]),
  ].join('  ');
}

function liveView(market: Watched, title: string, speed: Speed): string {
  const { published, halts, latestHalt } = market;
  const metrics = market.metrics();
  const halt = latestHalt === undefined ? '' : `, the last one: ${latestHalt.instrument}: ${latestHalt.reason}`;
  return [
    ` ${title} · ${(metrics.uptimeMs / 1_000).toFixed(1)} s`,
    ` ${count(published)} events · ${count(speed.since(published))} events/s`,
    ` HALT ${count(halts)}${halt}`,
    '',
    laneTable(metrics),
    '',
    subscriptionTable(metrics),
    '',
    threadLine(metrics),
  ].join('\n');
}

/** How many threads were terminated, if any were to be. */
export function killLines({ kills, restarts }: Pick<RunResult, 'kills' | 'restarts'>): string[] {
  return kills === undefined ? [] : [` ${count(kills)} threads killed, ${count(restarts ?? 0)} replaced`];
}

/** What was set aside, and where it can be looked at. */
function letterLines({ deadLetters }: RunResult): string[] {
  if (deadLetters === undefined) return [];
  return [letterTable(deadLetters), '', ` look at them: npx lanebus dead-letters list --store ${LETTERS}`, ''];
}

/** What is left on the screen in the end. */
export function summaryOf(result: RunResult, title: string): string {
  const { events, durationMs, eventsPerSecond, halts, latestHalts, interrupted } = result;
  const seconds = (durationMs / 1_000).toFixed(2);
  return [
    ` ${title}${interrupted ? ' · interrupted' : ''}`,
    ` ${count(events)} events in ${seconds} s: ${count(eventsPerSecond)} events/s, each delivered to 4 handlers`,
    ...killLines(result),
    '',
    instrumentTable(result),
    '',
    ledgerTable(result),
    '',
    ...letterLines(result),
    ` HALT ${count(halts)}${halts === 0 ? '' : ', the last ones:'}`,
    ...latestHalts.map(({ instrument, reason }) => `   ${instrument}: ${reason}`),
    '',
  ].join('\n');
}
