import { describe, expect, it } from 'vitest';
import { CheckpointBlock, CheckpointWord, claimRegion, type LaneMark } from '../../src/shared/checkpoint-block.js';
import { ClaimBlock } from '../../src/shared/layout.js';

const MAX_BYTES = 1 << 18;

function newBlock(addresses = 3, entries = 4): CheckpointBlock {
  return CheckpointBlock.create({ addresses, entries }, [claimRegion(MAX_BYTES), claimRegion(MAX_BYTES)]);
}

const mark = (address: number, serial: number): LaneMark => {
  return { address, serial, position: address * 8 - 2 ** 31, sequence: address - 1, missed: address + 1 };
};

describe('a checkpoint block', () => {
  it('has nothing at first, and can be seen by another thread', () => {
    const block = newBlock();
    const seen = new CheckpointBlock(structuredClone(block.source));
    expect([seen.hasState, seen.isLost, seen.current.logged, seen.addresses, seen.entries]).toEqual([
      false,
      false,
      0,
      3,
      4,
    ]);
    expect(seen.current.laneAt(0, 7)).toBeUndefined();
  });

  it('has what was committed last, while the other place is written', () => {
    const block = newBlock();
    const seen = new CheckpointBlock(structuredClone(block.source));
    for (let n = 1; n <= 5; n++) {
      block.next.writeState(new Uint8Array(n).fill(n));
      block.next.begin([mark(1, n)]);
      block.commit('whole');
      block.next.writeState(new Uint8Array(100));
      block.next.begin([]);
      expect(seen.hasState).toBe(true);
      expect([...seen.current.readState()]).toEqual(Array.from({ length: n }, () => n));
      expect(seen.current.laneAt(1, n)).toEqual(mark(1, n));
    }
  });

  it('tells lanes of a producer from those of one that had the index before', () => {
    const block = newBlock();
    block.next.begin([mark(0, 11), mark(2, 12)]);
    block.commit('whole');
    expect(block.current.laneAt(0, 11)).toEqual(mark(0, 11));
    expect(block.current.laneAt(0, 13)).toBeUndefined();
    expect(block.current.laneAt(1, 11)).toBeUndefined();
    block.next.begin([mark(1, 14)]);
    block.commit('whole');
    expect(block.current.laneAt(0, 11)).toBeUndefined();
  });

  it('has an order log for each place, which a commit empties', () => {
    const block = newBlock();
    block.current.log(2, -8);
    block.current.log(0, 2 ** 31 - 8);
    expect([block.current.entryAt(0), block.current.entryAt(1)]).toEqual([
      { address: 2, position: -8 },
      { address: 0, position: 2 ** 31 - 8 },
    ]);
    block.next.begin([]);
    expect(block.current.logged).toBe(2);
    block.commit('whole');
    expect(block.current.logged).toBe(0);
  });

  it('takes memory for a state as far as it is used, and refuses more than its bound', () => {
    const block = newBlock();
    expect(block.next.region.byteLength).toBe(0);
    block.next.writeState(new Uint8Array(10));
    expect(block.next.region.byteLength).toBe(1 << 16);
    block.next.writeState(new Uint8Array(MAX_BYTES));
    expect(block.next.region.byteLength).toBe(MAX_BYTES);
    expect(() => {
      block.next.writeState(new Uint8Array(MAX_BYTES + 1));
    }).toThrow(RangeError);
  });

  it('of a successor has what its predecessor had, and leaves its state where it is', () => {
    const dead = newBlock();
    dead.next.writeState(new Uint8Array([1, 2, 3]));
    dead.next.begin([mark(1, 5)]);
    dead.commit('whole');
    dead.current.log(1, 64);
    const heir = CheckpointBlock.create({ addresses: 3, entries: 4 }, [dead.current.region, dead.next.region]);
    heir.inherit(dead);
    expect([...heir.current.readState()]).toEqual([1, 2, 3]);
    expect(heir.current.laneAt(1, 5)).toEqual(mark(1, 5));
    expect([heir.current.logged, heir.current.entryAt(0)]).toEqual([1, { address: 1, position: 64 }]);
    heir.next.writeState(new Uint8Array([9]));
    expect([...heir.current.readState()]).toEqual([1, 2, 3]);
  });

  it('says when the state was given up', () => {
    const block = newBlock();
    block.commit('lost');
    expect([block.hasState, block.isLost]).toEqual([false, true]);
    block.commit('whole');
    expect([block.hasState, block.isLost]).toEqual([true, false]);
  });

  it('keeps its words apart', () => {
    const block = newBlock(3, 4);
    const lanes = [mark(0, 1), mark(1, 2), mark(2, 3)];
    const fill = (): void => {
      block.next.writeState(new Uint8Array(77));
      block.next.begin(lanes);
      block.commit('whole');
      for (const n of [1, 2, 3, 4]) block.current.log(n, n * 8);
    };
    const expectFull = (): void => {
      expect(lanes.map(({ address, serial }) => block.current.laneAt(address, serial))).toEqual(lanes);
      expect([0, 1, 2, 3].map((n) => block.current.entryAt(n).position)).toEqual([8, 16, 24, 32]);
      expect(block.current.readState()).toHaveLength(77);
    };
    block.stats.fill(-1, CheckpointWord.TAKEN_F64, CheckpointWord.REPLAYED_F64 + 1);
    expect(block.hasState).toBe(false);
    fill();
    expectFull();
    fill();
    expectFull();
    // The other place is as it was, too.
    block.commit('whole');
    expectFull();
    const { TAKEN_F64, REPLAYED_F64 } = CheckpointWord;
    expect([...block.stats.subarray(TAKEN_F64, REPLAYED_F64 + 1)]).toEqual([-1, -1, -1, -1, -1, -1]);
  });

  it('of another kind is refused', () => {
    const regions = newBlock().source.regions;
    expect(() => new CheckpointBlock({ block: ClaimBlock.create(64).source, regions })).toThrow(
      /kind is 4, expected 7/,
    );
  });
});
