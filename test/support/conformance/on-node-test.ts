// The suite on node:test, as the program of a child process: see test/contract/conformance.test.ts.
import { backends } from 'lanebus';
import { conformanceSuite } from 'lanebus/testing';

conformanceSuite({ backend: backends[process.env.BACKEND as keyof typeof backends] });
