import java.util.HashMap;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** A flat JSON object of numbers. Names that a scenario does not ask for are ignored. */
final class Parameters {
  private static final String PAIR = "\"(\\w+)\"\\s*:\\s*(-?\\d+(?:\\.\\d+)?(?:[eE][-+]?\\d+)?)";
  private static final Pattern OBJECT =
      Pattern.compile("\\s*\\{\\s*(?:" + PAIR + "(?:\\s*,\\s*" + PAIR + ")*)?\\s*\\}\\s*");

  private final Map<String, Double> values = new HashMap<>();

  Parameters(String json) {
    if (!OBJECT.matcher(json).matches()) {
      throw new IllegalArgumentException("parameters are " + json + ", expected a flat JSON object of numbers");
    }
    Matcher pairs = Pattern.compile(PAIR).matcher(json);
    while (pairs.find()) values.put(pairs.group(1), Double.valueOf(pairs.group(2)));
  }

  double number(String name, double fallback) {
    return values.getOrDefault(name, fallback);
  }

  int count(String name, int fallback) {
    double value = number(name, fallback);
    if (value >= 0 && value <= Integer.MAX_VALUE && value == Math.floor(value)) return (int) value;
    throw new IllegalArgumentException(name + " is " + value + ", expected an integer from 0 to " + Integer.MAX_VALUE);
  }

  int positive(String name, int fallback) {
    return Math.max(1, count(name, fallback));
  }

  /** Index of the event that the producer leaves out, so that the check must fail; -1 leaves out none. */
  int drop() {
    return number("drop", -1) < 0 ? -1 : count("drop", -1);
  }
}
