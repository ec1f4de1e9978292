// Nothing keeps the process alive after stop: real processes, which must end by themselves.
import { describe, expect, it } from 'vitest';
import { runProgram } from './programs.js';

/** A process with nothing left to do ends in a few ms; every timer and every thread that a bus could leave lasts longer. */
const KEPT_ALIVE_MS = 500;

describe('a process ends by itself, without an error and without an unneeded wait, after', () => {
  it.each<[way: string, result: object]>([
    ['stop after traffic', { drained: true, discarded: 0 }],
    ['stop right after start', { drained: true, discarded: 0 }],
    ['stop while starting', { drained: true, discarded: 0, started: 'ERR_LANEBUS_STOPPED' }],
    ['stop late while starting', { codes: ['ERR_LANEBUS_STOPPED'] }],
    ['stop without start', { drained: true, discarded: 0 }],
    ['never start', { state: 'created' }],
    ['a start that fails', { code: 'ERR_LANEBUS_MODULE_NOT_FOUND', state: 'stopped' }],
    [
      'a start whose threads die',
      { code: 'ERR_LANEBUS_THREAD_LOST', message: 'pool thread 1 ended before it had started: no luck' },
    ],
    ['blocked publishers with a long limit', { releasedPublishers: 1, blocked: 'ERR_LANEBUS_STOPPED' }],
    ['admitted publishers with a long limit', { drained: true, discarded: 0, releasedPublishers: 0 }],
    ['a hung thread', { drained: false, discarded: 1 }],
    ['a handler that never settles, on the main thread', { drained: false, discarded: 1 }],
    ['stop after a take-over', { drained: true, discarded: 0 }],
  ])('%s', async (way, result) => {
    const { code, errors, lines } = await runProgram('ends', [way]);
    expect(errors).toBe('');
    expect(lines[0]).toMatchObject(result);
    expect(code).toBe(0);
    const { keptAliveMs } = lines[1] as { keptAliveMs: number };
    expect(keptAliveMs).toBeLessThan(KEPT_ALIVE_MS);
  });
});
