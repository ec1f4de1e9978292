import { createHash } from 'node:crypto';
import type { ReportEvent } from './catalog.js';
import type { StageName, State } from './stage.js';

/** By instrument and stage. */
export type FinalState = Readonly<Partial<Record<string, Readonly<Partial<Record<StageName, State>>>>>>;

/** Main side of SNAPSHOT: what every stage ended with for every instrument, as far as they have answered. */
export class ReportCollector {
  readonly #states = new Map<string, Map<StageName, State>>();

  readonly onReport = ({ instrument, stage, state }: ReportEvent): void => {
    let stages = this.#states.get(instrument);
    if (stages === undefined) {
      stages = new Map();
      this.#states.set(instrument, stages);
    }
    // Only stageHandler publishes these.
    stages.set(stage as StageName, state as State);
  };

  finalState(): FinalState {
    return Object.fromEntries(
      [...this.#states].map(([instrument, stages]) => [instrument, Object.fromEntries(stages)]),
    );
  }
}

/** SHA-256 of the canonical text, in hexadecimal. */
export function digestOf(state: FinalState): string {
  return createHash('sha256').update(canonical(state, 'state')).digest('hex');
}

/**
 * JSON with the names of every object in the order of their code units and nothing between the values. Numbers have to be
 * integers below 2^53, of which there is one way to write each. Throws for anything else.
 */
export function canonical(value: unknown, path: string): string {
  if (typeof value === 'number' && Number.isSafeInteger(value)) return value.toString();
  if (Array.isArray(value)) return `[${value.map((item, index) => canonical(item, `${path}.${index}`)).join(',')}]`;
  if (typeof value !== 'object' || value === null) {
    throw new TypeError(`${path} is ${String(value)}; expected: an integer below 2^53, an array or an object`);
  }
  const names = Object.keys(value).sort();
  const entries = names.map((name) => {
    const item: unknown = Reflect.get(value, name);
    return `${JSON.stringify(name)}:${canonical(item, `${path}.${name}`)}`;
  });
  return `{${entries.join(',')}}`;
}
