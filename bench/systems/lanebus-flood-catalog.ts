import { defineEvents, f64, u8 } from 'lanebus';

/** `at`: when it was published. `phase`: 0 before the failures, 1 while they last. */
export const catalog = defineEvents({
  TICK: { priority: 30, payload: { at: f64(), phase: u8() } },
});
