import type { System } from './scenario.js';

interface Place {
  /** Appended to the names, where a scenario has them more than once. */
  readonly as?: string;
  readonly case?: string;
}

/** The systems of native-bench/, as peers: with the same parameters, however fast they are. */
export function nativeSystems(parameters: System['parameters'], { as, ...place }: Place = {}): System[] {
  return ['cpp', 'disruptor'].map((module) => ({
    name: as === undefined ? module : `${module}-${as}`,
    module,
    ...place,
    parameters,
  }));
}
