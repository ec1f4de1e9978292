import type { Mutant } from '../mutant.js';

/** Threads that die, and what outlives them: only where there are threads. */
export const deaths: readonly Mutant[] = (
  [
    {
      id: 'made-again-as-the-first',
      rule: 'A thread that dies by itself is replaced, and the delivery that was in flight is made again, with `context.attempt` above 1.',
      file: 'main/inheritance.js',
      text: 'attempt: attempt + 1, ...next',
      becomes: 'attempt, ...next',
    },
    {
      id: 'poison-kills-once-more',
      rule: 'An event over which a thread has died `maxCrashes` times is poison: its delivery ends `failed`, and is a dead letter with the reason `poison`.',
      file: 'main/inheritance.js',
      text: 'isGuilty && crashes >= maxCrashes',
      becomes: 'isGuilty && crashes > maxCrashes',
    },
    {
      id: 'every-suspect-is-guilty',
      rule: 'Every delivery that was in flight on a thread that dies is a suspect, and only the guilty one ends as poison.',
      file: 'main/inheritance.js',
      text: 'isSuspect && (!isDoubtful || doubts > MAX_DOUBTS)',
      becomes: 'isSuspect',
    },
    {
      id: 'state-is-not-restored',
      rule: 'A successor calls `setup`, is told which life it is and why the last one ended, and `restore` with the checkpoint.',
      file: 'shared/module-life.js',
      text: 'if (block.hasState)',
      becomes: 'if (false)',
    },
    {
      id: 'nothing-is-shown-again',
      rule: 'A successor is shown again, with `context.replay` true, exactly what had followed the checkpoint, so that its state is as if nothing had died.',
      file: 'shared/checkpointer.js',
      text: 'if (!readers.some((reader) => reader.isBehind))',
      becomes: 'if (true)',
    },
    {
      id: 'shown-again-publishes-again',
      rule: 'What is shown again is not counted again, and what it publishes goes nowhere.',
      file: 'shared/context.js',
      text: 'if (this.#delivery.replays)',
      becomes: 'if (false)',
    },
  ] as const
).map((mutant) => ({ ...mutant, backend: 'parallel' }));
