import { codec } from './codec.js';
import { dispatch } from './dispatch.js';
import { lane } from './lane.js';
import type { MicroSpec } from './micro.js';
import { publish } from './publish.js';
import { selection } from './selection.js';

/** In the order of an event's way. */
export const MICROS: readonly MicroSpec[] = [...publish, ...codec, ...lane, ...selection, ...dispatch];
