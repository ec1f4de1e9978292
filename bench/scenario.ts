/** What a child process is told to run, by name; every value is a count. */
export type Parameters = Readonly<Record<string, number>>;

/** Latencies in microseconds. */
export interface Latency {
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

/** What a child process found: one number in the scenario's unit, and whatever else the scenario reports. */
export interface Measurement {
  readonly value: number;
  readonly details?: Readonly<Record<string, unknown>>;
  readonly latency?: Latency;
  /** False when the system broke the scenario's bound; the bench then ends with exit code 1. */
  readonly passed?: boolean;
}

/** A system that is not on this machine, or cannot do what the scenario asks: why, in one line. */
export interface Absence {
  readonly absent: string;
}

export type Outcome = Measurement | Absence;

/** One way to do what a scenario asks: a library, or one of several set-ups of the same one. */
export interface System {
  readonly name: string;
  /** The module that runs it: its name in systems/, or its file URL. */
  readonly module: string;
  /** Lanebus itself: measured whatever `--peers` says, and compared with every peer of its case. */
  readonly subject?: true;
  /** Systems are compared within their case, as a text with a text; without one they are all of the same. */
  readonly case?: string;
  /** Slow systems get fewer events, so that a round is neither over before it has settled nor takes minutes. */
  parameters(quick: boolean): Parameters;
}

/** Two systems of a scenario by name: one's number is divided by the other's, round by round. */
export interface Ratio {
  readonly of: string;
  readonly over: string;
}

/** What a median must be: that of a ratio by its name, or of a system in the scenario's unit. */
export interface Target {
  /** As the table of targets calls it. */
  readonly title: string;
  readonly of: { readonly ratio: string } | { readonly system: string };
  readonly atLeast?: number;
  readonly atMost?: number;
  readonly moonshot?: number;
}

/** A question, and the systems that can answer it. Each of its measurements runs in a fresh process. */
export interface Scenario {
  readonly name: string;
  /** What is connected to what, and what the number says. */
  readonly question: string;
  readonly unit: string;
  /** Which numbers are good: high ones, as events a second, or low ones, as latencies. */
  readonly better: 'higher' | 'lower';
  readonly systems: readonly System[];
  /** Comparisons besides those of every subject with every peer of its case, by the name that the report gives them. */
  readonly ratios?: Readonly<Record<string, Ratio>>;
  readonly targets?: readonly Target[];
  readonly rounds: { readonly full: number; readonly quick: number };
}

/** What a module in systems/ exports: how it runs each scenario that it knows. */
export type SystemScenarios = Readonly<Record<string, (parameters: Parameters) => Promise<Outcome>>>;

/** By name: that of the peer for the first subject of a case, `subject ÷ peer` for the others. Above 1, Lanebus is better. */
export function ratiosOf({ systems, better, ratios }: Scenario): Record<string, Ratio> {
  const all: Record<string, Ratio> = {};
  for (const peer of systems.filter(({ subject }) => subject !== true)) {
    const subjects = systems.filter((system) => system.subject === true && system.case === peer.case);
    for (const [index, subject] of subjects.entries()) {
      const name = index === 0 ? peer.name : `${subject.name} ÷ ${peer.name}`;
      all[name] = better === 'higher' ? { of: subject.name, over: peer.name } : { of: peer.name, over: subject.name };
    }
  }
  return { ...all, ...ratios };
}
