/** A Piscina pool, its options as they come but one: without it tasks overtake each other. */
import { Piscina } from 'piscina';
import { taskPoolScenarios } from './task-pool.js';

export const scenarios = taskPoolScenarios((options) => new Piscina({ ...options, stricterFIFO: true }));
