import com.lmax.disruptor.ExceptionHandler;
import com.lmax.disruptor.RingBuffer;
import com.lmax.disruptor.WaitStrategy;
import com.lmax.disruptor.dsl.Disruptor;
import com.lmax.disruptor.dsl.ProducerType;
import com.lmax.disruptor.util.DaemonThreadFactory;
import java.util.ArrayList;
import java.util.List;

/** What the scenarios share: a Disruptor of ticks, a stream of them, and how fast streams are. */
final class Streams {
  static final int CAPACITY = 65_536;
  private static final double STEADY_WITHIN = 0.05;
  private static final int MAX_WARMUPS = 8;

  private Streams() {}

  /** Runs one stream of so many events and checks it. Returns the seconds that it took, without the check. */
  interface Stream {
    double run(int events) throws Exception;
  }

  static Disruptor<Tick> disruptor(Parameters parameters, ProducerType producers, WaitStrategy wait) {
    int capacity = parameters.count("capacity", CAPACITY);
    Disruptor<Tick> disruptor =
        new Disruptor<>(Tick::new, capacity, DaemonThreadFactory.INSTANCE, producers, wait);
    disruptor.setDefaultExceptionHandler(new Exit());
    return disruptor;
  }

  /** Without it, a handler that fails would leave the producer waiting for room for good. */
  private static final class Exit implements ExceptionHandler<Tick> {
    @Override
    public void handleEventException(Throwable error, long sequence, Tick tick) {
      Bench.fail(error);
    }

    @Override
    public void handleOnStartException(Throwable error) {
      Bench.fail(error);
    }

    @Override
    public void handleOnShutdownException(Throwable error) {
      Bench.fail(error);
    }
  }

  static double secondsSince(long startNanos) {
    return (System.nanoTime() - startNanos) / 1e9;
  }

  static void publish(RingBuffer<Tick> ring, int at, int symbols) {
    long sequence = ring.next();
    try {
      ring.get(sequence).make(at, symbols);
    } finally {
      ring.publish(sequence);
    }
  }

  static void publishEnd(RingBuffer<Tick> ring, int publisher) {
    long sequence = ring.next();
    Tick tick = ring.get(sequence);
    tick.symbol = Tick.END;
    tick.publisher = publisher;
    ring.publish(sequence);
  }

  static void publishEnd(RingBuffer<Tick> ring) {
    publishEnd(ring, 0);
  }

  /** Publishes the ticks 0 … count - 1 one by one, but for the dropped one, and the end of the stream. */
  static void publishStream(RingBuffer<Tick> ring, int count, int symbols, int drop) {
    for (int at = 0; at < count; at++) {
      if (at != drop) publish(ring, at, symbols);
    }
    publishEnd(ring);
  }

  static double median(List<Double> values) {
    List<Double> sorted = values.stream().sorted().toList();
    int middle = sorted.size() / 2;
    return sorted.size() % 2 == 1 ? sorted.get(middle) : (sorted.get(middle - 1) + sorted.get(middle)) / 2;
  }

  static String nameOf(WaitStrategy wait) {
    return wait.getClass().getSimpleName();
  }

  /** What streams came to, in events a second. */
  record Throughput(double median, int warmups, List<Double> rates) {
    Json toJson(WaitStrategy wait) {
      Json details = new Json().add("wait", nameOf(wait)).add("warmups", warmups).add("rounds", rates);
      return new Json().add("value", median).add("details", details);
    }
  }

  /** As bench/throughput.ts: warm-up streams until they are steady, then the median of the slices. */
  static Throughput measureThroughput(Parameters parameters, Stream stream) throws Exception {
    int events = parameters.count("events", 4_000_000);
    int warmup = parameters.count("warmup", events / 2);
    int slices = parameters.positive("slices", 5);

    int warmups = 1;
    double last = warmup / stream.run(warmup);
    for (boolean isSteady = false; !isSteady && warmups < MAX_WARMUPS; warmups++) {
      double rate = warmup / stream.run(warmup);
      isSteady = Math.abs(rate - last) <= STEADY_WITHIN * last;
      last = rate;
    }
    List<Double> rates = new ArrayList<>();
    for (int slice = 0; slice < slices; slice++) rates.add(events / stream.run(events));
    return new Throughput(median(rates), warmups, rates);
  }
}
