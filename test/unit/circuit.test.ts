import { describe, expect, it } from 'vitest';
import { Circuit, MAX_FAILURES } from '../../src/shared/circuit.js';
import { CircuitBlock } from '../../src/shared/layout.js';

/** Views of one circuit, as its threads and main have them. */
function circuitsWith(maxFailures: number): [Circuit, Circuit] {
  const block = CircuitBlock.create();
  return [new Circuit(block, maxFailures), new Circuit(new CircuitBlock(block.source), maxFailures)];
}

describe('a circuit', () => {
  it('opens at the failure that is one too many, and not before', () => {
    const [one, other] = circuitsWith(3);
    expect([one.failed(false), other.failed(false)]).toEqual([false, false]);
    expect(one).toMatchObject({ state: 'closed', failures: 2, allows: true, isClear: false });
    expect(other.failed(false)).toBe(true);
    expect(one).toMatchObject({ state: 'open', failures: 3, allows: false });
    expect(one.enter(0)).toBe('no');
  });

  it('counts from the beginning after a success', () => {
    const [one] = circuitsWith(3);
    one.failed(false);
    one.failed(false);
    expect(one.succeeded(false)).toBe(false);
    expect(one).toMatchObject({ failures: 0, isClear: true });
    one.failed(false);
    expect(one.state).toBe('closed');
  });

  it('lets one delivery in when it is half-open, and only that one decides', () => {
    const [one, other] = circuitsWith(1);
    one.failed(false);
    one.halfOpen();
    expect(one).toMatchObject({ state: 'halfOpen', allows: true });
    expect([other.enter(1), one.enter(0)]).toEqual(['probe', 'no']);
    expect(one).toMatchObject({ state: 'probing', allows: false });
    // Those that were in flight before.
    expect([one.succeeded(false), one.failed(false)]).toEqual([false, false]);
    expect(one).toMatchObject({ state: 'probing', failures: 2 });
    expect(other.succeeded(true)).toBe(true);
    expect(one).toMatchObject({ state: 'closed', failures: 0 });
  });

  it('opens again when the probe fails, and lets another one in when it comes to nothing or dies', () => {
    const [one] = circuitsWith(1);
    one.failed(false);
    one.halfOpen();
    one.enter(5);
    expect(one.failed(true)).toBe(true);
    expect(one).toMatchObject({ state: 'open', failures: 2 });
    one.halfOpen();
    one.enter(5);
    one.leave();
    expect(one.state).toBe('halfOpen');
    expect(one.enter(1023)).toBe('probe');
    one.orphaned(5);
    expect(one.state).toBe('probing');
    expect([one.isProbedBy(5), one.isProbedBy(1023)]).toEqual([false, true]);
    one.orphaned(1023);
    expect(one.state).toBe('halfOpen');
  });

  it('never opens without a limit, and does not count further than it can', () => {
    const [one] = circuitsWith(0);
    for (let n = 0; n < 5; n++) expect(one.failed(false)).toBe(false);
    expect(one.state).toBe('closed');
    const [most] = circuitsWith(0);
    for (let n = 0; n < MAX_FAILURES + 2; n++) most.failed(false);
    expect(most).toMatchObject({ failures: MAX_FAILURES, state: 'closed' });
  });

  it('half-opens though a failure is counted at the same time', () => {
    const block = CircuitBlock.create();
    const one = new Circuit(block, 1);
    one.failed(false);
    const { compareExchange } = Atomics;
    let interfered = false;
    Atomics.compareExchange = ((words: Int32Array, index: number, from: number, to: number) => {
      if (!interfered) {
        interfered = true;
        one.failed(false);
      }
      return compareExchange(words, index, from, to);
    }) as typeof compareExchange;
    try {
      one.halfOpen();
    } finally {
      Atomics.compareExchange = compareExchange;
    }
    expect(one).toMatchObject({ state: 'halfOpen', failures: 2 });
  });

  it('is closed by hand from any state', () => {
    const [one] = circuitsWith(1);
    one.failed(false);
    one.halfOpen();
    one.enter(3);
    one.close();
    expect(one).toMatchObject({ state: 'closed', failures: 0, isClear: true });
    expect(one.enter(0)).toBe('yes');
    expect(one.succeeded(true)).toBe(false);
  });
});
