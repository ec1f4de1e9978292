/** The worker threads of a system that carries ticks between threads of one's own, as the main thread sees them. */
import { once } from 'node:events';
import { MessagePort, Worker } from 'node:worker_threads';
import type { Message } from '../producer.js';
import type { Absence, Measurement, Parameters } from '../scenario.js';
import type { WindowSize } from '../window.js';

export interface Outlet {
  send(message: Message): void;
  /** So that it does not keep the process alive. */
  close(): void | Promise<void>;
}

/** How a system carries ticks from thread to thread. `W` is a wire as each end is told of it; it crosses threads. */
export interface Carrier<W> {
  /** Its module in systems/, which exports it as `carrier`. */
  readonly module: string;
  readonly window: WindowSize;
  /** On the main thread, before any worker has started. */
  open(): Wires<W> | Absence | Promise<Wires<W> | Absence>;
  openOutlet(wire: W, symbols: readonly string[]): Outlet | Promise<Outlet>;
  /** Nothing that is sent is missed once it has returned, or resolved. */
  openInlet(wire: W, take: (message: Message) => void, symbols: readonly string[]): void | Promise<void>;
}

export interface Wires<W> {
  /** From the main thread to so many workers. What is sent to every outlet, each of the workers gets once. */
  toWorkers(count: number): {
    readonly inlets: readonly W[];
    readonly outlets: (workers: readonly Worker[]) => readonly W[];
  };
  /** From one worker to another. */
  between(): { readonly outlet: W; readonly inlet: W };
  close(): void | Promise<void>;
}

/** What a worker does with what comes in, stream by stream: count it, handle each key's, send on what it derives, or send its own. */
export type Role<W> =
  | { readonly does: 'tally' | 'work'; readonly inlets: readonly W[] }
  | { readonly does: 'derive'; readonly inlets: readonly W[]; readonly outlet: W }
  | { readonly does: 'produce'; readonly inlets: readonly W[]; readonly outlet: W };

export interface CrewData<W> {
  /** The carrier's. */
  readonly module: string;
  readonly role: Role<W>;
  readonly parameters: Parameters;
}

export type FromCrew<F> = { type: 'READY' } | { type: 'ACK'; inlet: number } | { type: 'RESULT'; found: F };
export type ToProducer = { type: 'SEND'; count: number } | { type: 'ACK' };

/** `F` is what a worker tells of a stream: a tally for each inlet, or for each key. */
export interface Crew<F> {
  readonly workers: readonly Worker[];
  /** Those that acknowledge, and tell what they found: the last ones of each way. */
  readonly tellers: number;
  /** By number of the teller, and of its inlet. */
  onAck: (teller: number, inlet: number) => void;
  /** Of the stream that is about to be sent: what the tellers find, in their order. */
  results(): Promise<F[]>;
}

/** Starts the workers, and ends them when it is measured or when any of them has failed. */
export async function withCrew<W, F>(
  { module }: Carrier<W>,
  roles: readonly Role<W>[],
  parameters: Parameters,
  measure: (crew: Crew<F>) => Promise<Measurement>,
): Promise<Measurement> {
  const workers = roles.map((role) => startWorker({ module, role, parameters }));
  const failed = Promise.race(workers.map((worker) => once(worker, 'error'))).then(([error]) =>
    Promise.reject(error as Error),
  );
  const tellers = workers.filter((_, index) => !('outlet' in roles[index]));
  const found = new Map<Worker, F>();
  let unready = workers.length;
  let onReady: (() => void) | undefined;
  let onResults: ((results: F[]) => void) | undefined;
  const crew: Crew<F> = {
    workers,
    tellers: tellers.length,
    onAck: () => undefined,
    results: () =>
      new Promise((resolve) => {
        onResults = resolve;
      }),
  };

  const take = (worker: Worker, message: FromCrew<F>): void => {
    if (message.type === 'ACK') {
      crew.onAck(tellers.indexOf(worker), message.inlet);
    } else if (message.type === 'READY') {
      if (--unready === 0) onReady?.();
    } else {
      found.set(worker, message.found);
      if (found.size < tellers.length) return;
      onResults?.(tellers.map((teller) => found.get(teller) as F));
      found.clear();
    }
  };
  const ready = new Promise<void>((resolve) => {
    onReady = resolve;
  });
  for (const worker of workers) {
    worker.on('message', (message: FromCrew<F>) => {
      take(worker, message);
    });
  }
  try {
    await Promise.race([ready, failed]);
    return await Promise.race([measure(crew), failed]);
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}

function startWorker<W>(workerData: CrewData<W>): Worker {
  const { role } = workerData;
  const wires: unknown[] = 'outlet' in role ? [...role.inlets, role.outlet] : [...role.inlets];
  const transferList = wires.filter((wire) => wire instanceof MessagePort);
  return new Worker(new URL('./crew-worker.js', import.meta.url), { workerData, transferList });
}
