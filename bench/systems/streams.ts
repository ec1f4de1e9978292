/**
 * The scenarios of throughput for systems that carry ticks between threads of one's own: who is connected to whom, written
 * once; a carrier says how a tick gets from one thread to another.
 *
 * All have the same back-pressure, a window from the last worker to the producer. Its acknowledgements take the workers' own
 * ports, by way of the main thread, so that none of them is a load on the carrier.
 */
import { type Cargo, END, isBatch, produce, sizeOf } from '../producer.js';
import type { Measurement, Outcome, Parameters, SystemScenarios } from '../scenario.js';
import { checkKeyTallies, type KeyTally } from '../scenarios/fan-out-keyed.js';
import { checkShares, PRODUCERS, shareOf } from '../scenarios/many-to-one.js';
import { checkDerived } from '../scenarios/pipeline-3.js';
import { measureThroughput, type Streaming } from '../throughput.js';
import { checkTally, symbolsOf, type Tally } from '../ticks.js';
import { Window } from '../window.js';
import { type Carrier, type Crew, type Outlet, type Role, type ToProducer, type Wires, withCrew } from './crew.js';

type Topology = <W>(carrier: Carrier<W>, wires: Wires<W>, parameters: Parameters) => Promise<Measurement>;

/** Main to one worker or more, each of which gets everything. */
const fanOut: Topology = (carrier, wires, parameters) => {
  const { consumers: count = 1 } = parameters;
  const symbols = symbolsOf(parameters);
  const { inlets, outlets } = wires.toWorkers(count);
  const roles = inlets.map((inlet) => ({ does: 'tally', inlets: [inlet] }) as const);
  return withCrew(carrier, roles, parameters, (crew: Crew<[Tally]>) =>
    fromMain(carrier, outlets(crew.workers), crew, parameters, toAll, (found, events) => {
      for (const [tally] of found) checkTally(tally, events, symbols);
    }),
  );
};

/** Main to so many workers, each of which has its own keys. */
const keyed: Topology = (carrier, wires, parameters) => {
  const { threads } = parameters;
  const symbols = symbolsOf(parameters);
  const ways = Array.from({ length: threads }, () => wires.toWorkers(1));
  const roles = ways.map(({ inlets }) => ({ does: 'work', inlets }) as const);
  const owners = new Map(symbols.map((symbol) => [symbol, hashOf(symbol) % threads]));
  return withCrew(carrier, roles, parameters, (crew: Crew<KeyTally[]>) => {
    const outlets = ways.flatMap((way, worker) => way.outlets([crew.workers[worker]]));
    return fromMain(carrier, outlets, crew, parameters, toOwner(owners), (found, events) => {
      const tallies = new Map(symbols.map((symbol, key) => [key, found[owners.get(symbol) ?? 0][key]]));
      checkKeyTallies(tallies, parameters, events, symbols);
    });
  });
};

/** Main to the first stage, the first to the second, the second to the last. */
const pipeline: Topology = <W>(carrier: Carrier<W>, wires: Wires<W>, parameters: Parameters) => {
  const symbols = symbolsOf(parameters);
  const first = wires.toWorkers(1);
  const second = wires.between();
  const last = wires.between();
  const roles: Role<W>[] = [
    { does: 'derive', inlets: first.inlets, outlet: second.outlet },
    { does: 'derive', inlets: [second.inlet], outlet: last.outlet },
    { does: 'tally', inlets: [last.inlet] },
  ];
  return withCrew(carrier, roles, parameters, (crew: Crew<[Tally]>) =>
    fromMain(carrier, first.outlets(crew.workers), crew, parameters, toAll, ([[tally]], events) => {
      checkDerived(tally, events, symbols);
    }),
  );
};

/** From several workers to another, each of them told by main how much to send. */
const manyToOne: Topology = <W>(carrier: Carrier<W>, wires: Wires<W>, parameters: Parameters) => {
  const ways = Array.from({ length: PRODUCERS }, () => wires.between());
  const roles: Role<W>[] = [
    ...ways.map(({ outlet }) => ({ does: 'produce', inlets: [], outlet }) as const),
    { does: 'tally', inlets: ways.map(({ inlet }) => inlet) },
  ];
  return withCrew(carrier, roles, parameters, (crew: Crew<Tally[]>) => {
    const tell = (producer: number, message: ToProducer): void => {
      crew.workers[producer].postMessage(message);
    };
    crew.onAck = (_, inlet) => {
      tell(inlet, { type: 'ACK' });
    };
    return measureThroughput(parameters, {
      run(events) {
        const results = crew.results();
        for (const producer of ways.keys()) tell(producer, { type: 'SEND', count: shareOf(events, producer) });
        return results;
      },
      check([tallies], events) {
        checkShares(tallies, events, parameters);
      },
    });
  });
};

/** @returns What sends a tick, or a batch, where it is to go, and what to await before the next. */
type Sender = (
  outlets: readonly Outlet[],
  /** Of the tellers. */
  windows: readonly Window[],
) => (cargo: Cargo) => Promise<unknown> | undefined;

/** The slowest of the tellers holds it back. */
const toAll: Sender = (outlets, windows) => (cargo) => {
  const events = sizeOf(cargo);
  for (const outlet of outlets) outlet.send(cargo);
  let full: Promise<unknown> | undefined;
  for (const window of windows) {
    const room = window.add(events);
    if (room !== undefined) full = full === undefined ? room : Promise.all([full, room]);
  }
  return full;
};

function toOwner(owners: ReadonlyMap<string, number>): Sender {
  return (outlets, windows) => (cargo) => {
    if (isBatch(cargo)) throw new Error('a batch has no key');
    const owner = owners.get(cargo.symbol) ?? 0;
    outlets[owner].send(cargo);
    return windows[owner].add(1);
  };
}

async function fromMain<W, F>(
  carrier: Carrier<W>,
  wires: readonly W[],
  crew: Crew<F>,
  parameters: Parameters,
  sender: Sender,
  check: Streaming<F[]>['check'],
): Promise<Measurement> {
  const symbols = symbolsOf(parameters);
  const outlets: Outlet[] = [];
  for (const wire of wires) outlets.push(await carrier.openOutlet(wire, symbols));
  const windows = Array.from({ length: crew.tellers }, () => new Window(carrier.window));
  const send = sender(outlets, windows);
  crew.onAck = (teller) => {
    windows[teller].acknowledge();
  };
  const run = async (events: number): Promise<F[]> => {
    const results = crew.results();
    for (const window of windows) window.reset();
    await produce(events, parameters, symbols, send);
    for (const outlet of outlets) outlet.send(END);
    return results;
  };
  try {
    return await measureThroughput(parameters, { run, check });
  } finally {
    for (const outlet of outlets) await outlet.close();
  }
}

/** FNV-1a: an even spread over few threads. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return hash >>> 0;
}

const TOPOLOGIES = {
  'one-to-one': fanOut,
  'one-to-one-batch': fanOut,
  'fan-out-1-to-4': fanOut,
  'fan-out-keyed': keyed,
  'pipeline-3': pipeline,
  'many-to-one': manyToOne,
} satisfies Record<string, Topology>;

/** Those scenarios, by a carrier. */
export function streamScenarios<W>(carrier: Carrier<W>, names: readonly (keyof typeof TOPOLOGIES)[]): SystemScenarios {
  const run = async (topology: Topology, parameters: Parameters): Promise<Outcome> => {
    const wires = await carrier.open();
    if ('absent' in wires) return wires;
    try {
      return await topology(carrier, wires, parameters);
    } finally {
      await wires.close();
    }
  };
  return Object.fromEntries(names.map((name) => [name, (parameters) => run(TOPOLOGIES[name], parameters)]));
}
