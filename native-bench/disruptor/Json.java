import java.util.List;
import java.util.StringJoiner;
import java.util.stream.Collectors;

/** A JSON object, as it is put together. */
final class Json {
  private final StringJoiner members = new StringJoiner(",", "{", "}");

  Json add(String name, double value) {
    return addRaw(name, String.valueOf(value));
  }

  /** @param value Without quotes, backslashes and control characters. */
  Json add(String name, String value) {
    return addRaw(name, '"' + value + '"');
  }

  Json add(String name, Json value) {
    return addRaw(name, value.toString());
  }

  Json add(String name, List<Double> values) {
    return addRaw(name, values.stream().map(String::valueOf).collect(Collectors.joining(",", "[", "]")));
  }

  private Json addRaw(String name, String value) {
    members.add('"' + name + "\":" + value);
    return this;
  }

  @Override
  public String toString() {
    return members.toString();
  }
}
