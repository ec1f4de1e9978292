/** Ticks as calls to another thread, each answered with a promise: so many at once, since one at a time would mostly wait. */
import { type Cargo, END, type Message, produce } from '../producer.js';
import type { Measurement, Parameters } from '../scenario.js';
import { measureThroughput } from '../throughput.js';
import { checkTally, symbolsOf, type Tally } from '../ticks.js';

/** @param call Calls `take` of tally-calls.ts, wherever that is. */
export async function measureCallStream(
  parameters: Parameters,
  call: (message: Message) => Promise<Tally | undefined>,
): Promise<Measurement> {
  const symbols = symbolsOf(parameters);
  const { concurrent } = parameters;
  let pending = 0;
  let failure: unknown;
  let onSettled: (() => void) | undefined;
  const settle = (): void => {
    pending--;
    onSettled?.();
  };
  const fail = (error: unknown): void => {
    failure ??= error;
    settle();
  };
  const untilPending = async (most: number): Promise<void> => {
    while (pending > most) {
      await new Promise<void>((resolve) => {
        onSettled = resolve;
      });
    }
    if (failure !== undefined) throw failure as Error;
  };
  const send = (cargo: Cargo): Promise<void> | undefined => {
    call(cargo).then(settle, fail);
    return ++pending < concurrent ? undefined : untilPending(concurrent - 1);
  };
  return measureThroughput(parameters, {
    async run(events) {
      await produce(events, parameters, symbols, send);
      await untilPending(0);
      return call(END);
    },
    check(tally, events) {
      if (tally === undefined) throw new Error('expected a tally at the end of the stream');
      checkTally(tally, events, symbols);
    },
  });
}
