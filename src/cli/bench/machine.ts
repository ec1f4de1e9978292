/** What a number depends on besides the code: the machine, and what else it does. */
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';

const SAMPLE_MS = 200;
/** Of a core: more than a quiet system's own services need, less than a program that computes. */
const BUSY_CORES = 0.3;

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly node: string;
  readonly platform: string;
  readonly loadavg: readonly number[];
  /** Cores that others used just before. */
  readonly busyCores: number;
  readonly busy: boolean;
}

/** Looks for 200 ms at what others do: the load average would count what was just before. */
export async function describeMachine(): Promise<Machine> {
  const before = coreTimes();
  await sleep(SAMPLE_MS);
  const after = coreTimes();
  const all = after.all - before.all;
  const cores = availableParallelism();
  const busyCores = all > 0 ? cores * (1 - (after.idle - before.idle) / all) : 0;
  return {
    cpu: cpus().at(0)?.model.trim() ?? 'unknown CPU',
    cores,
    node: process.version,
    platform: `${process.platform} ${process.arch}`,
    loadavg: loadavg(),
    busyCores,
    busy: busyCores > BUSY_CORES,
  };
}

function coreTimes(): { idle: number; all: number } {
  let idle = 0;
  let all = 0;
  for (const { times } of cpus()) {
    idle += times.idle;
    for (const time of Object.values(times)) all += time;
  }
  return { idle, all };
}

/** CPU time so far, in seconds. */
export interface CpuTime {
  readonly process: number;
  /** Of the calling thread; undefined where the system does not say. */
  readonly thread: number | undefined;
}

export function cpuTime(): CpuTime {
  const { user, system } = process.cpuUsage();
  return { process: (user + system) / 1e6, thread: threadSeconds() };
}

function threadSeconds(): number | undefined {
  try {
    return Number(readFileSync('/proc/thread-self/schedstat', 'utf8').split(' ')[0]) / 1e9;
  } catch {
    return undefined;
  }
}
