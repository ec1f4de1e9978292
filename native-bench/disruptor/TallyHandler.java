import com.lmax.disruptor.EventHandler;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;

/** Tallies each stream of ticks up to its end. */
final class TallyHandler implements EventHandler<Tick> {
  private final int[] symbolLengths;
  private final BlockingQueue<TickTally> closed = new ArrayBlockingQueue<>(1);
  private TickTally tally;

  TallyHandler(int[] symbolLengths) {
    this.symbolLengths = symbolLengths;
    tally = new TickTally(symbolLengths);
  }

  @Override
  public void onEvent(Tick tick, long sequence, boolean isEndOfBatch) throws InterruptedException {
    if (tick.symbol == Tick.END) {
      closed.put(tally);
      tally = new TickTally(symbolLengths);
    } else {
      tally.take(tick);
    }
  }

  /** Waits for the end of the stream. */
  TickTally close() throws InterruptedException {
    return closed.take();
  }
}
