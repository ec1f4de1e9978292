/** What a child process is told to run, by name; every value is a count. */
export type Parameters = Readonly<Record<string, number>>;

/** What a child process found: one number in the scenario's unit, and whatever else the scenario reports. */
export interface Measurement {
  readonly value: number;
  readonly details?: Readonly<Record<string, unknown>>;
  /** False when the system broke the scenario's bound; the bench then ends with exit code 1. */
  readonly passed?: boolean;
}

/** A question, and the systems that can answer it. Each of its measurements runs in a fresh process. */
export interface Scenario {
  readonly name: string;
  /** What is connected to what, and what the number says. */
  readonly question: string;
  readonly unit: string;
  /** Lanebus first; each has a module of its name in systems/. */
  readonly systems: readonly string[];
  readonly rounds: { readonly full: number; readonly quick: number };
  /** Slow systems get fewer events, so that a round is neither over before it has settled nor takes minutes. */
  parameters(system: string, quick: boolean): Parameters;
}

/** What a module in systems/ exports: how it runs each scenario that it knows. */
export type SystemScenarios = Readonly<Record<string, (parameters: Parameters) => Promise<Measurement>>>;
