import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, release } from 'node:os';

/** What a number depends on besides the code. Read before the first round: the bench itself is load. */
export function describeMachine() {
  const cores = availableParallelism();
  const load = loadavg();
  return {
    cpu: cpus().at(0)?.model ?? 'unknown',
    cores,
    node: process.version,
    v8: process.versions.v8,
    platform: `${process.platform} ${process.arch} ${release()}`,
    flags: [...process.execArgv, ...(process.env.NODE_OPTIONS?.split(' ').filter(Boolean) ?? [])],
    loadavg: load,
    governor: readGovernor(),
    /** Others use more than half of the cores: the numbers say little, the ratios of one run somewhat more. */
    busy: load[0] > cores / 2,
  };
}

export type Machine = ReturnType<typeof describeMachine>;

/** Undefined where the system has none to show, as in most virtual machines. */
function readGovernor(): string | undefined {
  try {
    return readFileSync('/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor', 'utf8').trim();
  } catch {
    return undefined;
  }
}
