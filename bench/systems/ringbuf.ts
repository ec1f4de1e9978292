/**
 * The package ringbuf.js: a ring of numbers in shared memory, for one producer and one consumer. It carries numbers and
 * nothing else, so each tick is written into 64 bytes by hand, and read from them. It has no way to wait either: both sides
 * spin, the consumer with a turn of its event loop now and then.
 */
import { RingBuffer } from 'ringbuf.js';
import { END, isBatch, isEnd } from '../producer.js';
import { TICK_FLOATS, TickBytes } from '../tick-bytes.js';
import type { Carrier } from './crew.js';
import { streamScenarios } from './streams.js';

/** As many as fit into the lane of Lanebus: 4 MiB, with 16 bytes of header each. */
const CAPACITY = 52_428;
/** Ticks that are read at once, when there are so many, and written at once in a batch. */
const MOST = 256;
const POLLS_A_TURN = 20_000;
/** In the place of a tick's sequence. */
const NO_MORE = -1;

export const carrier: Carrier<SharedArrayBuffer> = {
  module: 'ringbuf',
  // The ring holds its producer back, nothing else need.
  window: { size: Infinity, ackEvery: Infinity },

  open() {
    const nextRing = () => RingBuffer.getStorageForCapacity(CAPACITY * TICK_FLOATS, Float64Array);
    return {
      toWorkers(count) {
        const rings = Array.from({ length: count }, nextRing);
        return { inlets: rings, outlets: () => rings };
      },
      between() {
        const ring = nextRing();
        return { outlet: ring, inlet: ring };
      },
      close: () => undefined,
    };
  },

  openOutlet(memory, symbols) {
    const ring = new RingBuffer(memory, Float64Array);
    const bytes = new TickBytes(symbols, MOST);
    // What is written is a whole number of ticks, since the capacity is.
    const push = (ticks: number): void => {
      const length = ticks * TICK_FLOATS;
      for (let at = 0; at < length;) at += ring.push(bytes.floats, length - at, at);
    };
    return {
      send(message) {
        if (isBatch(message)) {
          for (const [place, tick] of message.entries()) bytes.write(tick, place);
          push(message.length);
        } else if (isEnd(message)) {
          bytes.floats[TICK_FLOATS - 1] = NO_MORE;
          push(1);
        } else {
          bytes.write(message, 0);
          push(1);
        }
      },
      close: () => undefined,
    };
  },

  openInlet(memory, take, symbols) {
    const ring = new RingBuffer(memory, Float64Array);
    const bytes = new TickBytes(symbols, MOST);
    const poll = (): void => {
      for (let polls = 0; polls < POLLS_A_TURN; polls++) {
        const ticks = ring.pop(bytes.floats) / TICK_FLOATS;
        for (let place = 0; place < ticks; place++) {
          const isTick = bytes.floats[place * TICK_FLOATS + TICK_FLOATS - 1] !== NO_MORE;
          take(isTick ? bytes.read(place) : END);
        }
      }
      setImmediate(poll);
    };
    setImmediate(poll);
  },
};

export const scenarios = streamScenarios(carrier, ['one-to-one', 'one-to-one-batch', 'fan-out-1-to-4']);
