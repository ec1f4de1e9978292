/** What a child process is told to run, by name; every value is a count. */
export type Parameters = Readonly<Record<string, number>>;

/** What a child process found: one number in the scenario's unit, and whatever else the scenario reports. */
export interface Measurement {
  readonly value: number;
  readonly details?: Readonly<Record<string, unknown>>;
  /** False when the system broke the scenario's bound; the bench then ends with exit code 1. */
  readonly passed?: boolean;
}

/** One way to do what a scenario asks: a library, or one of several set-ups of the same one. */
export interface System {
  readonly name: string;
  /** Name of the module in systems/ that runs it. */
  readonly module: string;
  /** Slow systems get fewer events, so that a round is neither over before it has settled nor takes minutes. */
  parameters(quick: boolean): Parameters;
}

/** Two systems of a scenario by name: one's number is divided by the other's, round by round. */
export interface Ratio {
  readonly of: string;
  readonly over: string;
}

/** A question, and the systems that can answer it. Each of its measurements runs in a fresh process. */
export interface Scenario {
  readonly name: string;
  /** What is connected to what, and what the number says. */
  readonly question: string;
  readonly unit: string;
  /** The first is the one that is measured against the others, its peers. */
  readonly systems: readonly [System, ...System[]];
  /** What the question compares, by the name that the report gives it. */
  readonly ratios: Readonly<Record<string, Ratio>>;
  readonly rounds: { readonly full: number; readonly quick: number };
}

/** What a module in systems/ exports: how it runs each scenario that it knows. */
export type SystemScenarios = Readonly<Record<string, (parameters: Parameters) => Promise<Measurement>>>;
