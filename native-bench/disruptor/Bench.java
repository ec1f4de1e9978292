import java.util.HashMap;
import java.util.Map;
import java.util.TreeMap;

/** Runs one scenario; the last line on stdout is its measurement as JSON. What is wrong is one line on stderr, exit code 1. */
public final class Bench {
  private Bench() {}

  private interface Scenario {
    Json run(Parameters parameters) throws Exception;
  }

  public static void main(String[] words) {
    try {
      System.out.println(run(parseOptions(words)));
    } catch (Exception error) {
      fail(error);
    }
  }

  /** Ends the process, from whatever thread. */
  static void fail(Throwable error) {
    String message = error.getMessage();
    System.err.println(error instanceof IllegalArgumentException || error instanceof IllegalStateException
        ? message
        : error.getClass().getSimpleName() + ": " + message);
    // Not exit: nothing is to be waited for.
    Runtime.getRuntime().halt(1);
  }

  private static Map<String, String> parseOptions(String[] words) {
    Map<String, String> options =
        new HashMap<>(Map.of("--scenario", "one-to-one", "--parameters", "{}", "--rows", ""));
    for (int at = 0; at < words.length; at += 2) {
      if (!options.containsKey(words[at]) || at + 1 == words.length) {
        throw new IllegalArgumentException(
            "usage: Bench --scenario NAME [--parameters JSON] [--rows FILE]; given " + words[at]);
      }
      options.put(words[at], words[at + 1]);
    }
    return options;
  }

  private static Json run(Map<String, String> options) throws Exception {
    Map<String, Scenario> scenarios = new TreeMap<>();
    scenarios.put("one-to-one", Chains::oneToOne);
    scenarios.put("one-to-one-batch", Chains::oneToOneBatch);
    scenarios.put("fan-out-1-to-4", Fans::fanOut);
    scenarios.put("fan-out-keyed", Fans::fanOutKeyed);
    scenarios.put("pipeline-3", Chains::pipeline);
    scenarios.put("many-to-one", Chains::manyToOne);
    scenarios.put("ping-pong", Latencies::pingPong);
    scenarios.put("halt-overtakes", Latencies::haltOvertakes);
    scenarios.put("open-load", Latencies::openLoad);
    scenarios.put("publish-cost", Costs::publishCost);
    scenarios.put("idle-cost", Costs::idleCost);
    scenarios.put("feed", parameters -> Feed.run(parameters, options.get("--rows")));
    scenarios.put(
        "kill-recovery",
        parameters -> new Json().add("absent", "a thread of a Java process cannot be killed without the process"));

    String name = options.get("--scenario");
    Scenario scenario = scenarios.get(name);
    if (scenario == null) {
      throw new IllegalArgumentException(
          "there is no scenario " + name + "; there are: " + String.join(", ", scenarios.keySet()));
    }
    return scenario.run(new Parameters(options.get("--parameters")));
  }
}
