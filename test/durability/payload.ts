import { defineEvents, i32, symbol, text } from 'lanebus';

export const catalog = defineEvents({ JOB: { priority: 30, payload: { n: i32(), symbol: symbol(), body: text() } } });

/** What the event of a number has: anyone can tell whether it is whole. */
export function payloadFor(n: number): { readonly symbol: string; readonly body: string } {
  return { symbol: `S${n % 97}`, body: `${n} `.repeat(1 + (n % 150)) };
}
