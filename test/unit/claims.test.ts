import { describe, expect, it } from 'vitest';
import { Claims, claimSlots, MAX_CLAIMANT } from '../../src/shared/claims.js';
import { ClaimBlock } from '../../src/shared/layout.js';

const SLOTS = 4;

/** Two threads that share the claims on a lane. */
function pair(first = 1, second = 2) {
  const block = ClaimBlock.create(SLOTS);
  return { block, first: new Claims(block, first), second: new Claims(new ClaimBlock(block.source), second) };
}

describe('a record', () => {
  it('is for the one who takes it first', () => {
    const { first, second } = pair();
    expect([first.take(0), second.take(0)]).toEqual([true, false]);
    expect([second.take(1), first.take(1)]).toEqual([true, false]);
  });

  it('that is done is taken by nobody', () => {
    const { first, second } = pair();
    first.take(0);
    first.done(0);
    expect([first.take(0), second.take(0)]).toEqual([false, false]);
  });

  it('is marked done only by the one who has it', () => {
    const { block, first, second } = pair();
    first.take(0);
    const before = [...block.slots];
    second.done(0);
    second.done(1);
    expect([...block.slots]).toEqual(before);
    first.done(0);
    expect([...block.slots]).not.toEqual(before);
  });

  it.each([0, 2 ** 31 - 1024, 2 ** 32 - 1024])('has a slot of its own in each lap, from number %i on', (start) => {
    const { first, second } = pair();
    for (let number = start; number < start + 2048; number++) {
      const [taker, other] = number % 3 === 0 ? [first, second] : [second, first];
      expect([taker.take(number | 0), other.take(number | 0)], `number ${number}`).toEqual([true, false]);
      taker.done(number | 0);
    }
  });

  it('is for the largest claimant there can be as for any other', () => {
    const { first, second } = pair(MAX_CLAIMANT, MAX_CLAIMANT - 1);
    expect([first.take(0), second.take(0)]).toEqual([true, false]);
    first.done(0);
    const successor = pair(MAX_CLAIMANT, 1);
    successor.first.take(0);
    successor.second.inherit(MAX_CLAIMANT, false);
    expect(successor.second.take(0)).toBe(true);
  });
});

describe('a successor', () => {
  it('has what its predecessor had taken and not done, and nothing else', () => {
    const { block, first, second } = pair();
    first.take(0);
    first.done(0);
    first.take(1);
    second.take(2);
    const successor = new Claims(block, 3);
    successor.inherit(1, false);
    expect([0, 1, 2, 3].map((number) => successor.take(number))).toEqual([false, true, false, true]);
    expect([0, 1, 2, 3].map((number) => second.take(number))).toEqual([false, false, true, false]);
  });

  it('has it in the second lap too', () => {
    const { block, first, second } = pair();
    for (let number = 0; number < SLOTS; number++) {
      second.take(number);
      second.done(number);
    }
    first.take(SLOTS);
    const successor = new Claims(block, 3);
    successor.inherit(1, false);
    expect(second.take(SLOTS)).toBe(false);
    expect(successor.take(SLOTS)).toBe(true);
    successor.done(SLOTS);
    expect(successor.take(SLOTS)).toBe(false);
  });

  it('makes that its predecessor can mark nothing done', () => {
    const { block, first } = pair();
    first.take(0);
    const successor = new Claims(block, 3);
    successor.inherit(1, false);
    first.done(0);
    expect(successor.take(0)).toBe(true);
  });

  it('takes from a predecessor that lingers what that takes later, which others leave to it', () => {
    const { block, first, second } = pair();
    first.take(0);
    first.done(0);
    const successor = new Claims(block, 3, [1]);
    expect(successor.inherit(1, true)).toBe(1);
    expect(successor.take(0)).toBe(false); // it was done before
    first.take(1);
    expect(second.take(1)).toBe(false);
    expect(successor.take(1)).toBe(true);
    expect(first.done(1)).toBe(false);
    expect(successor.take(1)).toBe(true);
    first.take(2);
    expect(first.done(2)).toBe(true);
    expect([second.take(2), successor.take(2)]).toEqual([false, true]);
    second.take(3);
    expect(successor.take(3)).toBe(false);
    expect(successor.inherit(1, true)).toBe(0);
  });
});

describe('the slots of a lane', () => {
  it('are as many as it can hold records, rounded up to a power of two', () => {
    expect(claimSlots(1024, 16)).toBe(64);
    expect(claimSlots(1024, 24)).toBe(64);
    expect(claimSlots(1024, 32)).toBe(32);
    expect(claimSlots(1024, 40)).toBe(32);
    expect(claimSlots(64, 64)).toBe(1);
  });
});
