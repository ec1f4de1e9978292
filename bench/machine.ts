import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, release } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';

const SAMPLE_MS = 200;
/** Of a core: more than a quiet system's own services need, less than a program that computes. */
const BUSY_CORES = 0.3;

/** What a number depends on besides the code. */
export function describeMachine() {
  return {
    cpu: cpus().at(0)?.model ?? 'unknown',
    cores: availableParallelism(),
    governor: readGovernor(),
    node: process.version,
    v8: process.versions.v8,
    platform: `${process.platform} ${process.arch} ${release()}`,
    flags: [...process.execArgv, ...(process.env.NODE_OPTIONS?.split(' ').filter(Boolean) ?? [])],
    loadavg: loadavg(),
  };
}

export type Machine = ReturnType<typeof describeMachine>;

/**
 * How many cores others use, as seen while this process does nothing for 200 ms. The load average would count what the
 * bench itself has just done.
 */
export async function busyCores(): Promise<number> {
  const before = coreTimes();
  await sleep(SAMPLE_MS);
  const after = coreTimes();
  const idle = after.idle - before.idle;
  const all = after.all - before.all;
  return all > 0 ? availableParallelism() * (1 - idle / all) : 0;
}

/** The numbers of such a run say little, its ratios somewhat more. */
export function isBusy(cores: number): boolean {
  return cores > BUSY_CORES;
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

/** Undefined where the system has none to show, as in most virtual machines. */
function readGovernor(): string | undefined {
  try {
    return readFileSync('/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor', 'utf8').trim();
  } catch {
    return undefined;
  }
}
