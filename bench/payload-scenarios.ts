import { type Bursts, measurePublishCost } from './publish-cost.js';
import type { Measurement, Parameters, SystemScenarios } from './scenario.js';
import { measureThroughput, type Streaming } from './throughput.js';
import type { Tally } from './ticks.js';

/** A way to send events of one kind of payload, in a stream or in bursts. */
export interface PayloadConnection extends Streaming<Tally>, Bursts {
  /** Runs what measures while the way is open, and closes it. */
  around(measure: () => Promise<Measurement>): Promise<Measurement>;
}

export function payloadScenarios(connect: (parameters: Parameters) => PayloadConnection): SystemScenarios {
  const measured =
    (measure: (parameters: Parameters, connection: PayloadConnection) => Promise<Measurement>) =>
    (parameters: Parameters): Promise<Measurement> => {
      const connection = connect(parameters);
      return connection.around(() => measure(parameters, connection));
    };
  return { payloads: measured(measureThroughput), 'publish-cost': measured(measurePublishCost) };
}
