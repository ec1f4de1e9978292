/** Events of several kinds of payload, and how a consumer finds that they have arrived: all of them, unchanged and in order. */
import { makeTick, type Tally, type Tick, TickTally } from './ticks.js';

export const KINDS = ['fixed-64', 'fixed-256', 'text-1k', 'any'] as const;
export type Kind = (typeof KINDS)[number];

/** 256 bytes on the wire: 31 numbers of 8 bytes, one of 4, and an interned symbol of 4. */
export interface Depth {
  type: 'DEPTH';
  symbol: string;
  sequence: number;
  exchangeTime: number;
  bid1: number;
  bidSize1: number;
  bidOrders1: number;
  ask1: number;
  askSize1: number;
  askOrders1: number;
  bid2: number;
  bidSize2: number;
  bidOrders2: number;
  ask2: number;
  askSize2: number;
  askOrders2: number;
  bid3: number;
  bidSize3: number;
  bidOrders3: number;
  ask3: number;
  askSize3: number;
  askOrders3: number;
  bid4: number;
  bidSize4: number;
  bidOrders4: number;
  ask4: number;
  askSize4: number;
  askOrders4: number;
  bid5: number;
  bidSize5: number;
  bidOrders5: number;
  ask5: number;
  askSize5: number;
  askOrders5: number;
}

/** A text of 1,024 characters, as a news item or a log line. */
export interface Note {
  type: 'NOTE';
  sequence: number;
  text: string;
}

/** An order as an application has it: objects in objects, lists, texts, a value that is not always there. */
export interface Order {
  id: number;
  account: { id: string; desk: string; trader: { name: string; limit: number } };
  side: 'buy' | 'sell';
  symbol: string;
  legs: { symbol: string; ratio: number; price: number; quantity: number }[];
  tags: string[];
  limits: { maxSlippage: number; notional: number; isHard: boolean };
  parent?: number;
}

export interface OrderEvent {
  type: 'ORDER';
  order: Order;
}

export type PayloadEvent = Tick | Depth | Note | OrderEvent;

/** An event as large as its kind says, a fresh object of each; the same one for the same number. */
export function makeEvent(kind: Kind, at: number, symbols: readonly string[]): PayloadEvent {
  switch (kind) {
    case 'fixed-64':
      return makeTick(at, symbols);
    case 'fixed-256':
      return makeDepth(at, symbols);
    case 'text-1k':
      return { type: 'NOTE', sequence: at, text: NOTES[at % NOTES.length] };
    case 'any':
      return { type: 'ORDER', order: makeOrder(at, symbols) };
  }
}

const NOTE_CHARACTERS = 1_024;
const NOTES: readonly string[] = Array.from({ length: 16 }, (_, note) => {
  const words = `note ${note}: an order of ES${note} was filled in part; `;
  // Through bytes: a string that was put together is flattened when it is first read, which is not to be measured.
  return Buffer.from(words.repeat(NOTE_CHARACTERS).slice(0, NOTE_CHARACTERS), 'latin1').toString('latin1');
});

function makeDepth(at: number, symbols: readonly string[]): Depth {
  const mid = 4800 + (at & 255) * 0.25;
  const size = 1 + (at & 7);
  return {
    type: 'DEPTH',
    symbol: symbols[at % symbols.length],
    sequence: at,
    exchangeTime: 1_703_545_201_000 + at,
    bid1: mid - 0.25,
    bidSize1: size,
    bidOrders1: 1,
    ask1: mid + 0.25,
    askSize1: size + 1,
    askOrders1: 1,
    bid2: mid - 0.5,
    bidSize2: size + 2,
    bidOrders2: 2,
    ask2: mid + 0.5,
    askSize2: size + 3,
    askOrders2: 2,
    bid3: mid - 0.75,
    bidSize3: size + 4,
    bidOrders3: 3,
    ask3: mid + 0.75,
    askSize3: size + 5,
    askOrders3: 3,
    bid4: mid - 1,
    bidSize4: size + 6,
    bidOrders4: 4,
    ask4: mid + 1,
    askSize4: size + 7,
    askOrders4: 4,
    bid5: mid - 1.25,
    bidSize5: size + 8,
    bidOrders5: 5,
    ask5: mid + 1.25,
    askSize5: size + 9,
    askOrders5: 5,
  };
}

const ACCOUNTS = ['A-1001', 'A-1002', 'B-2001', 'C-3001'] as const;
const DESKS = ['index', 'rates'] as const;

function makeOrder(at: number, symbols: readonly string[]): Order {
  const price = 4800 + (at & 255) * 0.25;
  const symbol = symbols[at % symbols.length];
  const order: Order = {
    id: at,
    account: {
      id: ACCOUNTS[at & 3],
      desk: DESKS[at & 1],
      trader: { name: 'J. Doe', limit: 1_000_000 },
    },
    side: (at & 1) === 0 ? 'buy' : 'sell',
    symbol,
    legs: [
      { symbol, ratio: 1, price, quantity: 1 + (at & 7) },
      { symbol: 'NQH4', ratio: -2, price: 4 * price, quantity: 2 },
    ],
    tags: ['spread', 'day'],
    limits: { maxSlippage: 0.5, notional: 1e6 + at, isHard: (at & 2) === 0 },
  };
  if ((at & 3) === 0) order.parent = at - 1;
  return order;
}

/** The consumer's work, the same for every system: it reads fields, and all of a text. */
export class PayloadTally {
  readonly #ticks = new TickTally();
  #count = 0;
  #sum = 0;
  #characters = 0;
  #inOrder = true;

  take(event: PayloadEvent): void {
    switch (event.type) {
      case 'TICK':
        this.#ticks.take(event);
        return;
      case 'DEPTH':
        this.#note(event.sequence, event.bidSize1 + event.askSize5 + event.ask3 - event.bid3, event.symbol.length);
        return;
      case 'NOTE':
        if (event.text !== NOTES[event.sequence % NOTES.length]) this.#inOrder = false;
        this.#note(event.sequence, event.text.charCodeAt(5), event.text.length);
        return;
      case 'ORDER': {
        const { id, account, legs, tags, limits, parent = id } = event.order;
        const sum = legs[0].quantity + legs[1].price + limits.notional + (id - parent) + (limits.isHard ? 1 : 0);
        this.#note(id, sum, account.id.length + account.trader.name.length + legs[0].symbol.length + tags[1].length);
        return;
      }
    }
  }

  /** The tally so far; the next one starts from nothing. */
  close(): Tally {
    const ticks = this.#ticks.close();
    const tally = {
      count: ticks.count + this.#count,
      sizeSum: ticks.sizeSum + this.#sum,
      symbolSum: ticks.symbolSum + this.#characters,
      inOrder: ticks.inOrder && this.#inOrder,
    };
    this.#count = this.#sum = this.#characters = 0;
    this.#inOrder = true;
    return tally;
  }

  #note(sequence: number, sum: number, characters: number): void {
    if (sequence !== this.#count) this.#inOrder = false;
    this.#count++;
    this.#sum += sum;
    this.#characters += characters;
  }
}

/** @returns What throws when a consumer did not see exactly the events 0 … count - 1 in order. */
export function payloadChecker(kind: Kind, symbols: readonly string[]): (tally: Tally, count: number) => void {
  const expected = new Map<number, Tally>();
  return (tally, count) => {
    let wanted = expected.get(count);
    if (wanted === undefined) expected.set(count, (wanted = tallyOf(kind, count, symbols)));
    for (const key of Object.keys(wanted) as (keyof Tally)[]) {
      if (tally[key] === wanted[key]) continue;
      throw new Error(
        `the consumer's ${key} is ${tally[key]}, expected ${wanted[key]} after ${count} events (${kind})`,
      );
    }
  };
}

function tallyOf(kind: Kind, count: number, symbols: readonly string[]): Tally {
  const tally = new PayloadTally();
  for (let at = 0; at < count; at++) tally.take(makeEvent(kind, at, symbols));
  return tally.close();
}
