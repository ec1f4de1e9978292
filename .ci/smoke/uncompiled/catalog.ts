import { defineEvents, u32 } from 'lanebus';

export const catalog = defineEvents({
  JOB: { priority: 30, payload: { n: u32() } },
  DONE: { priority: 20, payload: { n: u32() } },
});
