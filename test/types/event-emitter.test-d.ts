// Compiled with the tests and never run: each `@ts-expect-error` fails the build if its line compiles.
import { on, once } from 'node:events';
import {
  type BusEventEmitter,
  createBus,
  type DeadLetter,
  defineEvents,
  type EventOf,
  f64,
  optional,
  symbol,
  text,
  toEventEmitter,
} from 'lanebus';
import { expectTypeOf } from 'vitest';

const catalog = defineEvents({
  HALT: { priority: 1, payload: { reason: text() } },
  TICK: { priority: 30, payload: { symbol: symbol(), price: f64(), size: optional(f64()) } },
  PING: { priority: 90, payload: {} },
  NUDGE: { priority: 90, payload: { by: optional(text()) } },
  error: { priority: 90, payload: { code: f64() } },
});
type C = typeof catalog;

declare function use(value: unknown): void;
const emitter = toEventEmitter(createBus(catalog));
expectTypeOf(emitter).toEqualTypeOf<BusEventEmitter<C>>();

// What is emitted is the payload; the event has its type as well, and can be emitted again.
emitter.emit('TICK', { symbol: 'ESH4', price: 1 });
emitter.emit('PING');
emitter.emit('PING', {});
emitter.emit('NUDGE');
emitter.emit('NUDGE', { by: 'me' });
declare const tick: EventOf<C, 'TICK'>;
emitter.emit('TICK', tick);
emitter.emit('error', new Error('x'));
// @ts-expect-error -- a value of the wrong type
emitter.emit('TICK', { symbol: 'ESH4', price: '1' });
// @ts-expect-error -- a missing field
emitter.emit('TICK', { symbol: 'ESH4' });
// @ts-expect-error -- a field that the type does not have
emitter.emit('TICK', { symbol: 'ESH4', price: 1, side: 'BUY' });
// @ts-expect-error -- no payload
emitter.emit('TICK');
// @ts-expect-error -- the payload of another type
emitter.emit('HALT', { symbol: 'ESH4', price: 1 });
// @ts-expect-error -- more than one payload
emitter.emit('HALT', { reason: 'x' }, 1);
// @ts-expect-error -- an unknown type
emitter.emit('TOCK', { symbol: 'ESH4', price: 1 });
// @ts-expect-error -- the emitter's own 'error' is in front of a type of that name
emitter.emit('error');

for (const add of ['on', 'addListener', 'prependListener', 'once', 'prependOnceListener'] as const) {
  emitter[add]('TICK', (event) => {
    expectTypeOf(event).toEqualTypeOf<EventOf<C, 'TICK'>>();
  });
  emitter[add]('error', (error, letter) => {
    expectTypeOf(error).toEqualTypeOf<unknown>();
    expectTypeOf(letter).toEqualTypeOf<DeadLetter | undefined>();
  });
  emitter[add]('newListener', (name) => {
    expectTypeOf(name).toEqualTypeOf<string | symbol>();
  });
  // @ts-expect-error -- an unknown type
  emitter[add]('TOCK', () => undefined);
  // @ts-expect-error -- a listener for another event
  emitter[add]('TICK', (event: EventOf<C, 'HALT'>) => {
    use(event);
  });
  // @ts-expect-error -- a listener that wants more than the event
  emitter[add]('TICK', (event: EventOf<C, 'TICK'>, more: number) => {
    use([event, more]);
  });
}
const onHalt = (event: EventOf<C, 'HALT'>): void => {
  use(event);
};
emitter.on('HALT', onHalt).off('HALT', onHalt).removeListener('HALT', onHalt).removeAllListeners('HALT');
expectTypeOf(emitter.listeners('HALT')).toEqualTypeOf<((event: EventOf<C, 'HALT'>) => void)[]>();
// @ts-expect-error -- a listener that cannot have been added to the type
emitter.off('TICK', onHalt);
// @ts-expect-error -- an unknown type
emitter.listenerCount('TOCK');

// Code that takes any emitter takes this one.
declare function takes(any: NodeJS.EventEmitter): void;
takes(emitter);
void once(emitter, 'TICK');
void on(emitter, 'TICK');
