/** A worker thread of a crew, whatever the carrier: it does what its role says. */
import { parentPort, workerData } from 'node:worker_threads';
import { type Cargo, END, isBatch, isEnd, type Message, produce, sizeOf, tallyCargo } from '../producer.js';
import { KeyedWork } from '../scenarios/fan-out-keyed.js';
import { derive } from '../scenarios/pipeline-3.js';
import { symbolsOf, TickTally } from '../ticks.js';
import { Acknowledger, Window } from '../window.js';
import type { Carrier, CrewData, FromCrew, ToProducer } from './crew.js';

if (parentPort === null) throw new Error('crew-worker runs in a worker thread only');
const parent = parentPort;
const { module, role, parameters } = workerData as CrewData<unknown>;
const { carrier } = (await import(`./${module}.js`)) as { carrier: Carrier<unknown> };
const symbols = symbolsOf(parameters);

function tell(message: FromCrew<unknown>): void {
  parent.postMessage(message);
}

/** @param end Of a stream, on that inlet. */
async function acknowledgeEach(
  take: (cargo: Cargo, inlet: number) => void,
  end: (inlet: number) => void,
): Promise<void> {
  for (const [inlet, wire] of role.inlets.entries()) {
    const acknowledger = new Acknowledger(carrier.window, () => {
      tell({ type: 'ACK', inlet });
    });
    const takeMessage = (message: Message): void => {
      if (isEnd(message)) {
        acknowledger.reset();
        end(inlet);
      } else {
        take(message, inlet);
        acknowledger.add(sizeOf(message));
      }
    };
    await carrier.openInlet(wire, takeMessage, symbols);
  }
}

function tally(): Promise<void> {
  const tallies = role.inlets.map(() => new TickTally());
  let ended = 0;
  const end = (): void => {
    if (++ended < tallies.length) return;
    ended = 0;
    tell({ type: 'RESULT', found: tallies.map((one) => one.close()) });
  };
  return acknowledgeEach((cargo, inlet) => {
    tallyCargo(tallies[inlet], cargo);
  }, end);
}

function work(): Promise<void> {
  const keys = new KeyedWork(parameters.workSteps, symbols);
  const take = (cargo: Cargo): void => {
    if (!isBatch(cargo)) keys.take(cargo);
  };
  return acknowledgeEach(take, () => {
    tell({ type: 'RESULT', found: symbols.map((_, key) => keys.close(key)) });
  });
}

async function deriveEach(wire: unknown): Promise<void> {
  const outlet = await carrier.openOutlet(wire, symbols);
  const take = (message: Message): void => {
    outlet.send(isEnd(message) || isBatch(message) ? message : derive('TICK', message));
  };
  for (const inlet of role.inlets) await carrier.openInlet(inlet, take, symbols);
}

async function produceWhenTold(wire: unknown): Promise<void> {
  const outlet = await carrier.openOutlet(wire, symbols);
  const window = new Window(carrier.window);
  const send = async (count: number): Promise<void> => {
    window.reset();
    await produce(count, parameters, symbols, (cargo) => {
      outlet.send(cargo);
      return window.add(sizeOf(cargo));
    });
    outlet.send(END);
  };
  parent.on('message', (message: ToProducer) => {
    if (message.type === 'SEND') void send(message.count);
    else window.acknowledge();
  });
}

switch (role.does) {
  case 'tally':
    await tally();
    break;
  case 'work':
    await work();
    break;
  case 'derive':
    await deriveEach(role.outlet);
    break;
  case 'produce':
    await produceWhenTold(role.outlet);
    break;
}
tell({ type: 'READY' });
