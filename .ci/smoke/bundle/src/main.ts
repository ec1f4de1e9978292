import * as lanebus from 'lanebus';
import { smoke } from '../../scenario.mjs';

await smoke(
  lanebus,
  new URL('./handlers.js', import.meta.url),
  `bundle in ${import.meta.url.split('/').slice(-3, -1).join('/')}`,
);
