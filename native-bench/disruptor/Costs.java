import com.lmax.disruptor.BlockingWaitStrategy;
import com.lmax.disruptor.RingBuffer;
import com.lmax.disruptor.WaitStrategy;
import com.lmax.disruptor.YieldingWaitStrategy;
import com.lmax.disruptor.dsl.Disruptor;
import com.lmax.disruptor.dsl.ProducerType;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** What one side pays: the producer for a publish, the process for a consumer that waits. */
final class Costs {
  private static final ThreadMXBean THREADS = ManagementFactory.getThreadMXBean();

  private Costs() {}

  /**
   * Bursts that fit into the ring, while the consumer reads along; the next one begins when all of the last is consumed. By
   * the clock of the thread's CPU time, so that others who have its core do not count.
   */
  static Json publishCost(Parameters parameters) throws Exception {
    int symbols = parameters.count("symbols", 16);
    int drop = parameters.drop();
    int events = parameters.positive("events", 2_000_000);
    int warmup = parameters.count("warmup", events / 4);
    int burst = Math.min(parameters.positive("burst", 10_000), events);
    WaitStrategy wait = new YieldingWaitStrategy();
    TallyHandler handler = new TallyHandler(TickTally.symbolLengths(symbols));
    Disruptor<Tick> disruptor = Streams.disruptor(parameters, ProducerType.SINGLE, wait);
    disruptor.handleEventsWith(handler);
    RingBuffer<Tick> ring = disruptor.start();
    if (burst > ring.getBufferSize()) {
      throw new IllegalArgumentException(
          "burst is " + burst + ", expected at most the capacity of " + ring.getBufferSize());
    }

    int at = 0;
    for (int sent = 0; sent < warmup; sent += burst, at += burst) publishBurst(ring, at, burst, symbols, drop);
    List<Double> nanos = new ArrayList<>();
    for (int sent = 0; sent < events; sent += burst, at += burst) {
      nanos.add(publishBurst(ring, at, burst, symbols, drop));
    }
    Streams.publishEnd(ring);
    handler.close().check(at);
    Json details = new Json()
        .add("wait", Streams.nameOf(wait))
        .add("clock", "thread-cpu")
        .add("bursts", nanos.size())
        .add("burst", burst);
    return new Json().add("value", Streams.median(nanos)).add("details", details);
  }

  /** Returns the ns of an event. */
  private static double publishBurst(RingBuffer<Tick> ring, int first, int burst, int symbols, int drop) {
    long before = THREADS.getCurrentThreadCpuTime();
    for (int at = first; at < first + burst; at++) {
      if (at != drop) Streams.publish(ring, at, symbols);
    }
    long took = THREADS.getCurrentThreadCpuTime() - before;
    while (ring.remainingCapacity() < ring.getBufferSize()) Thread.yield();
    return (double) took / burst;
  }

  /**
   * A consumer sleeps beside an empty ring for `idleMs`; the ticks that come after that show that it can be woken. The CPU
   * is that of the whole virtual machine.
   */
  static Json idleCost(Parameters parameters) throws Exception {
    int symbols = parameters.count("symbols", 16);
    int drop = parameters.drop();
    int events = parameters.count("events", 1_000);
    int settleMs = parameters.count("settleMs", 500);
    int idleMs = parameters.count("idleMs", 5_000);
    WaitStrategy wait = new BlockingWaitStrategy();
    TallyHandler handler = new TallyHandler(TickTally.symbolLengths(symbols));
    Disruptor<Tick> disruptor = Streams.disruptor(parameters, ProducerType.SINGLE, wait);
    disruptor.handleEventsWith(handler);
    RingBuffer<Tick> ring = disruptor.start();

    Thread.sleep(settleMs);
    long cpuBefore = cpuNanos();
    long start = System.nanoTime();
    Thread.sleep(idleMs);
    double wall = Streams.secondsSince(start);
    double cpu = (cpuNanos() - cpuBefore) / 1e9;
    Streams.publishStream(ring, events, symbols, drop);
    handler.close().check(events);
    Json details =
        new Json().add("wait", Streams.nameOf(wait)).add("wallMs", wall * 1_000).add("cpuMs", cpu * 1_000);
    return new Json().add("value", 100 * cpu / wall).add("details", details);
  }

  /** Of all threads of the process. What the virtual machine says of it comes in steps of 10 ms. */
  private static long cpuNanos() throws IOException {
    long nanos = 0;
    try (DirectoryStream<Path> threads = Files.newDirectoryStream(Path.of("/proc/self/task"))) {
      for (Path thread : threads) nanos += Long.parseLong(Files.readString(thread.resolve("schedstat")).split(" ")[0]);
    }
    return nanos;
  }
}
