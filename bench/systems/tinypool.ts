/** A Tinypool pool, its options as they come. */
import { Tinypool } from 'tinypool';
import { taskPoolScenarios } from './task-pool.js';

export const scenarios = taskPoolScenarios((options) => new Tinypool(options));
