/** C++ and nothing else: what this machine can do. */
import { nativeScenarios } from '../native.js';

export const scenarios = nativeScenarios({ target: 'cpp', needs: ['g++', 'make'], packages: 'g++ make' });
