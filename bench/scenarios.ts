import type { Scenario } from './scenario.js';
import { encodeOnce } from './scenarios/encode-once.js';
import { fanOut1To4 } from './scenarios/fan-out-1-to-4.js';
import { fanOutKeyed } from './scenarios/fan-out-keyed.js';
import { feed } from './scenarios/feed.js';
import { flood } from './scenarios/flood.js';
import { haltOvertakes } from './scenarios/halt-overtakes.js';
import { idleCost } from './scenarios/idle-cost.js';
import { killRecovery } from './scenarios/kill-recovery.js';
import { manyToOne } from './scenarios/many-to-one.js';
import { oneToOneBatch } from './scenarios/one-to-one-batch.js';
import { oneToOne } from './scenarios/one-to-one.js';
import { openLoad } from './scenarios/open-load.js';
import { payloads, publishCost } from './scenarios/payloads.js';
import { pingPong } from './scenarios/ping-pong.js';
import { pipeline3 } from './scenarios/pipeline-3.js';
import { soak } from './scenarios/soak.js';

/** In the order of the report. */
export const SCENARIOS: readonly Scenario[] = [
  oneToOne,
  oneToOneBatch,
  fanOut1To4,
  encodeOnce,
  fanOutKeyed,
  pipeline3,
  manyToOne,
  payloads,
  publishCost,
  pingPong,
  haltOvertakes,
  killRecovery,
  idleCost,
  openLoad,
  feed,
  flood,
  soak,
];
