import { describe, expect, it } from 'vitest';
import { SymbolReader, SymbolWriter, type SymbolTableViews } from '../../src/shared/symbols.js';

function tableOf(max: number, maxBytes: number): SymbolTableViews {
  return {
    state: new Int32Array(new SharedArrayBuffer(8)),
    ends: new Int32Array(new SharedArrayBuffer(4 * max)),
    names: new Uint8Array(new SharedArrayBuffer(maxBytes)),
  };
}

const full = { code: 'ERR_LANEBUS_SYMBOL_TABLE_FULL' };

describe('symbol table', () => {
  it('numbers symbols from 0 in the order of their first use, and each one the same every time', () => {
    const writer = new SymbolWriter(tableOf(8, 64), 'main thread');
    expect(['ESH4', 'NQH4', 'ESH4', '', 'é', 'NQH4', ''].map((name) => writer.intern(name))).toEqual([
      0, 1, 0, 2, 3, 1, 2,
    ]);
  });

  it('tells a reader every symbol, in any order of asking', () => {
    const views = tableOf(8, 64);
    const writer = new SymbolWriter(views, 'main thread');
    const names = ['ESH4', '', '日経225', 'é', '👍', 'x'.repeat(30)];
    const ids = names.map((name) => writer.intern(name));
    const reader = new SymbolReader(views);
    for (const i of [3, 0, 5, 1, 4, 2]) expect(reader.nameOf(ids[i])).toBe(names[i]);
  });

  it('lets a reader that is behind catch up with symbols added since it last read', () => {
    const views = tableOf(8, 64);
    const writer = new SymbolWriter(views, 'main thread');
    const reader = new SymbolReader(views);
    expect(reader.nameOf(writer.intern('A'))).toBe('A');
    const later = ['B', 'CC', 'DDD'].map((name) => writer.intern(name));
    expect(reader.nameOf(later[2])).toBe('DDD');
    expect(later.map((id) => reader.nameOf(id))).toEqual(['B', 'CC', 'DDD']);
  });

  it.each([3, 2, -1, 2 ** 31 - 1, Number.NaN])(
    'throws for id %s, which is not published, and makes up no string',
    (id) => {
      const views = tableOf(8, 64);
      const writer = new SymbolWriter(views, 'main thread');
      const reader = new SymbolReader(views);
      writer.intern('A');
      writer.intern('B');
      expect(() => reader.nameOf(id)).toThrow(`symbol ${id} is not in the symbol table; accepted: 0 to 1`);
      expect(reader.nameOf(1)).toBe('B');
    },
  );

  it('shows a reader no symbol whose count is not stored yet, at every step of writing it', () => {
    const views = tableOf(8, 64);
    new SymbolWriter(views, 'main thread').intern('A');
    const reader = new SymbolReader(views);
    const steps = [() => views.names.fill(66, 1, 3), () => (views.ends[1] = 3), () => Atomics.store(views.state, 1, 3)];
    for (const step of steps) {
      expect(() => reader.nameOf(1)).toThrow('symbol 1 is not in the symbol table');
      step();
    }
    Atomics.store(views.state, 0, 2);
    expect(reader.nameOf(1)).toBe('BB');
  });

  it('refuses a symbol past the bound of symbols with an error that names bound, option, owner and symbol', () => {
    const writer = new SymbolWriter(tableOf(2, 64), 'pool thread 3');
    writer.intern('A');
    writer.intern('B');
    expect(() => writer.intern('C')).toThrow(
      expect.objectContaining({
        ...full,
        message:
          'symbol "C" does not fit the symbol table of pool thread 3, which holds 2 symbols (option symbols.max); ' +
          'a symbol() field is for a small vocabulary, text() takes any string',
      }),
    );
    expect([writer.intern('A'), writer.intern('B')]).toEqual([0, 1]);
  });

  it('refuses a symbol past the bound of bytes and still takes a shorter one', () => {
    const views = tableOf(8, 10);
    const writer = new SymbolWriter(views, 'main thread');
    writer.intern('ABCD');
    const before = [Buffer.from(views.names).toString('hex'), [...views.state], [...views.ends]];
    expect(() => writer.intern('ééééé')).toThrow(
      expect.objectContaining({
        ...full,
        message: expect.stringContaining('holds 10 bytes (option symbols.maxBytes), of which 6 are free') as string,
      }),
    );
    expect([Buffer.from(views.names).toString('hex'), [...views.state], [...views.ends]]).toEqual(before);
    expect(writer.intern('ééé')).toBe(1);
    expect(new SymbolReader(views).nameOf(1)).toBe('ééé');
    expect(() => writer.intern('Z')).toThrow(expect.objectContaining(full));
    expect(writer.intern('')).toBe(2);
  });

  it('shortens a symbol that is too long in its error', () => {
    const writer = new SymbolWriter(tableOf(8, 10), 'main thread');
    expect(() => writer.intern('x'.repeat(100_000))).toThrow(/^symbol "x{60}…" does not fit/);
  });

  it('keeps names apart that share a slot of the cache', () => {
    const views = tableOf(5000, 100_000);
    const writer = new SymbolWriter(views, 'main thread');
    const names = Array.from({ length: 5000 }, (_, i) => `S${i % 50}x${i}`);
    const ids = names.map((name) => writer.intern(name));
    expect(new Set(ids).size).toBe(5000);
    const reader = new SymbolReader(views);
    for (let i = 0; i < names.length; i++) {
      expect(writer.find(names[i])).toBe(ids[i]);
      expect(reader.nameOf(ids[i])).toBe(names[i]);
    }
    expect(writer.find('S0x1')).toBe(-1);
  });

  it('continues a table that has symbols, also past a name that was never published', () => {
    const views = tableOf(8, 64);
    new SymbolWriter(views, 'main thread').intern('A');
    // Killed after the bytes in use were stored, before the count was.
    Atomics.store(views.state, 1, 40);
    const writer = new SymbolWriter(views, 'main thread');
    expect([writer.intern('A'), writer.intern('B')]).toEqual([0, 1]);
    expect(new SymbolReader(views).nameOf(1)).toBe('B');
  });
});
