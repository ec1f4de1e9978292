/**
 * Every schedule of a few actors, one after the other.
 *
 * An actor is a generator. Each `yield` names the step below it and is the point where the others may run first; between
 * two yields nothing interferes. A step that has to wait says when it can run. `explore` goes through the schedules
 * depth first: it runs the scenario anew, in fresh memory, for each of them, since generators cannot be copied.
 *
 * One actor may be mortal: then each of its steps can also be its death instead, and its heir starts from there.
 */
export type Step = string | { readonly step: string; readonly when: () => boolean };
export type Actor = Generator<Step, void, undefined>;

export interface Scenario {
  readonly actors: Readonly<Record<string, () => Actor>>;
  /** Name of the actor that may die, and who takes over. */
  readonly mortal?: string | undefined;
  readonly heir?: (() => Actor) | undefined;
  /** Called when nobody can run any more, with the names of those that wait. Throws what is wrong. */
  readonly check?: (waiting: readonly string[]) => void;
}

export interface Exploration {
  /** How many were run: all there are, or up to the first that breaks the rule. */
  readonly schedules: number;
  /** The first schedule that breaks the rule, step by step, and what went wrong; undefined when none does. */
  readonly violation: string | undefined;
}

/** A point of a schedule: how many moves there were, and which was made. */
interface Choice {
  readonly moves: number;
  made: number;
}

interface Running {
  readonly name: string;
  readonly actor: Actor;
  /** What it does next; undefined when it is done. */
  next: Step | undefined;
}

/** Runs every schedule of the scenario that `arrange` sets up, until one breaks a rule. */
export function explore(arrange: () => Scenario): Exploration {
  const path: Choice[] = [];
  let schedules = 0;
  do {
    schedules++;
    const violation = follow(arrange(), path);
    if (violation !== undefined) return { schedules, violation };
  } while (advance(path));
  return { schedules, violation: undefined };
}

/** Turns the path into that of the next schedule. @returns Whether there is one. */
function advance(path: Choice[]): boolean {
  for (let last = path.at(-1); last !== undefined; last = path.at(-1)) {
    if (++last.made < last.moves) return true;
    path.pop();
  }
  return false;
}

/** Runs one schedule: along the path as far as it goes, then always the first move. @returns The violation, if any. */
function follow({ actors, mortal, heir, check }: Scenario, path: Choice[]): string | undefined {
  const trace: string[] = [];
  try {
    const running = Object.entries(actors).map(([name, actor]) => begin(name, actor()));
    for (let depth = 0; ; depth++) {
      const ready = running.filter(isReady);
      const victim = running.find(({ name, next }) => name === mortal && next !== undefined);
      const moves = ready.length + (victim === undefined ? 0 : 1);
      if (moves === 0) break;
      if (depth === path.length) path.push({ moves, made: 0 });
      const choice = path[depth];
      if (choice.moves !== moves)
        throw new Error('the scenario is not the same in every run: nothing can be said of it');
      if (choice.made < ready.length) {
        run(ready[choice.made], trace);
      } else if (victim !== undefined) {
        trace.push(`${victim.name}: dies before "${nameOf(victim.next)}"`);
        victim.next = undefined;
        if (heir !== undefined) running.push(begin('heir', heir()));
      }
    }
    check?.(running.filter(({ next }) => next !== undefined).map(({ name }) => name));
    return undefined;
  } catch (error) {
    return [String(error instanceof Error ? error.message : error), ...trace.map(numbered)].join('\n');
  }
}

function begin(name: string, actor: Actor): Running {
  return { name, actor, next: actor.next().value ?? undefined };
}

function run(actor: Running, trace: string[]): void {
  trace.push(`${actor.name}: ${nameOf(actor.next)}`);
  actor.next = actor.actor.next().value ?? undefined;
}

function isReady({ next }: Running): boolean {
  return typeof next === 'object' ? next.when() : next !== undefined;
}

function nameOf(step: Step | undefined): string {
  return typeof step === 'object' ? step.step : (step ?? '');
}

function numbered(line: string, index: number): string {
  return `  ${index + 1}. ${line}`;
}
