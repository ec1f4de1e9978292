import { defineEvents, u8 } from 'lanebus';

export const catalog = defineEvents({ JOB: { priority: 30, payload: { hangs: u8() } } });
