import { smoke } from './scenario.mjs';
import * as lanebus from 'lanebus';

await smoke(lanebus, new URL('./handlers.mjs', import.meta.url), 'import');
