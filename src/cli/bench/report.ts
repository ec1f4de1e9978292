/** A benchmark's result as a table, and its progress as a line. */
import Table from 'cli-table3';
import { grouped, type Plan } from './plan.js';
import type { Latencies, Result } from './result.js';
import type { Progress } from './run.js';

const NONE_TIMED = 'no event came through the lane in time: try --rate, or less --capacity';
/** Of fewer, the 99.9th percentile is the maximum. */
const FEW_SAMPLES = 1_000;

export function formatProgress({ scenario, seconds }: Plan, progress: Progress): string {
  const rate = `${grouped(Math.round(progress.eventsPerSecond))} events/s`;
  if (progress.seconds === 0) return `${scenario}: warming up, ${rate}`;
  const p99 = progress.p99Micros === undefined ? '' : `, p99 so far ${duration(progress.p99Micros)}`;
  return `${scenario}: ${progress.seconds.toFixed(0)} of ${seconds} s, ${rate}${p99}`;
}

export function formatResult(result: Result): string {
  const { plan, latencyMicros, halts } = result;
  const table = new Table({ style: { head: [], border: [], compact: true } });
  table.push(['throughput', throughput(result)]);
  table.push([latencyName(plan), latencyMicros === undefined ? NONE_TIMED : percentiles(latencyMicros)]);
  if (halts !== undefined) {
    const { latencyMicros: latency, published, refused } = halts;
    const left = refused === 0 ? '' : `   ${grouped(refused)} refused`;
    const what = latency === undefined ? `none of ${grouped(published)} was handled` : percentiles(latency);
    table.push(['halt latency', `${what}${left}`]);
  }
  table.push(['CPU', cpu(result)]);
  table.push(['back-pressure', backpressure(result)]);
  table.push(['lane', `${percent(result.backpressure.fill)} of ${bytes(plan.capacityBytes)} in use at most`]);
  table.push(['ledger', ledger(result)]);
  table.push(['threads lost', String(result.kills)]);
  return [heading(result), table.toString(), machine(result)].join('\n');
}

function heading({ plan, seconds, interrupted }: Result): string {
  const { scenario, payloadBytes, rate, threads, subscriptions, workMicros, backend, urgentRate } = plan;
  const parts = [
    `payload of ${grouped(payloadBytes)} bytes`,
    rate === undefined
      ? scenario === 'ping-pong'
        ? 'one at a time'
        : 'as fast as possible'
      : `${grouped(rate)} events/s`,
    ...(subscriptions > 1 ? [`${subscriptions} subscriptions`] : []),
    backend === 'inline' ? 'inline' : threads === 1 ? '1 pool thread' : `${threads} pool threads`,
    ...(workMicros > 0 ? [`${grouped(workMicros)} µs of work each`] : []),
    ...(urgentRate === undefined ? [] : [`${grouped(urgentRate)} halts/s`]),
    `${seconds.toFixed(1)} s${interrupted ? ` of ${plan.seconds} s, ended early` : ''}`,
  ];
  return `${scenario}: ${parts.join(', ')}`;
}

function throughput(result: Result): string {
  const { plan, eventsPerSecond, deliveriesPerSecond, megabytesPerSecond, rateHeld } = result;
  const unit = plan.scenario === 'ping-pong' ? 'round trips/s' : 'events/s';
  const parts = [`${count(eventsPerSecond)} ${unit}`, `${significant(megabytesPerSecond)} MB/s`];
  if (plan.subscriptions > 1) parts.push(`${count(deliveriesPerSecond)} deliveries/s`);
  if (rateHeld === false) parts.push(`${grouped(plan.rate ?? 0)} events/s were NOT reached`);
  return parts.join('   ');
}

function latencyName({ scenario, rate }: Plan): string {
  if (scenario === 'ping-pong') return 'round trip';
  return rate === undefined ? 'latency, flat out' : 'latency';
}

function percentiles({ p50, p99, p999, max, samples }: Latencies): string {
  const few = samples < FEW_SAMPLES ? `   (${grouped(samples)} timed)` : '';
  return `p50 ${duration(p50)}   p99 ${duration(p99)}   p99.9 ${duration(p999)}   max ${duration(max)}${few}`;
}

function cpu({ cpu: { cores, busThreadCores } }: Result): string {
  const used = `${cores.toFixed(2)} cores`;
  if (busThreadCores === undefined) return used;
  const others = Math.max(0, cores - busThreadCores);
  return `${used}: bus's thread ${busThreadCores.toFixed(2)}, pool and Node's own ${others.toFixed(2)}`;
}

function backpressure({ plan, seconds, backpressure: found, events }: Result): string {
  const { waits, waitedMs, refused, mostSpilled } = found;
  switch (plan.whenFull) {
    case 'block':
      return `publisher waited ${times(waits)}, ${percent(waitedMs / (seconds * 1_000))} of the time`;
    case 'reject':
      return `${grouped(refused)} refused (${percent(refused / Math.max(1, refused + events))})`;
    case 'dropNewest':
      return `${grouped(refused)} dropped (${percent(refused / Math.max(1, refused + events))})`;
    case 'spill':
      return `${grouped(mostSpilled)} events in the overflow at most`;
  }
}

function ledger({ ledger: { owed, processed, discarded, exact }, problems }: Result): string {
  const left = discarded === 0 ? '' : `, ${grouped(discarded)} discarded at the end`;
  const verdict = problems.length > 0 ? 'WRONG' : exact ? 'exact, in order' : 'NOT exact';
  return `${grouped(owed)} owed, ${grouped(processed)} processed${left}: ${verdict}`;
}

function machine({ machine: { cpu: model, cores, node, platform, loadavg, busyCores, busy } }: Result): string {
  const load = `load ${loadavg[0].toFixed(1)}`;
  const others = busy
    ? `   BUSY: others used ${busyCores.toFixed(1)} cores just before, which is in these numbers`
    : '';
  return `${model}, ${cores} cores, Node ${node}, ${platform}, ${load}${others}`;
}

function duration(micros: number): string {
  if (micros < 1) return `${significant(micros * 1_000)} ns`;
  if (micros < 1_000) return `${significant(micros)} µs`;
  return micros < 1_000_000 ? `${significant(micros / 1_000)} ms` : `${significant(micros / 1_000_000)} s`;
}

function bytes(count: number): string {
  return count < 2 ** 20 ? `${grouped(count / 2 ** 10)} KiB` : `${grouped(count / 2 ** 20)} MiB`;
}

function count(value: number): string {
  return grouped(value < 100 ? Number(value.toPrecision(3)) : Math.round(value));
}

function significant(value: number): string {
  return value >= 100 ? grouped(Math.round(value)) : String(Number(value.toPrecision(3)));
}

function percent(share: number): string {
  if (share > 0 && share < 0.001) return 'under 0.1 %';
  return `${(share * 100).toFixed(share > 0 && share < 0.1 ? 1 : 0)} %`;
}

function times(number: number): string {
  return number === 1 ? 'once' : `${grouped(number)} times`;
}
