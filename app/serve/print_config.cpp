// Invariant: what print_config writes is read back, by the reader of the config file, as the same configuration.

#include "app/serve/print_config.h"

#include "app/serve/option_table.h"

#include <simdjson.h>

namespace penstock::app {
namespace {

std::string toml_of(simdjson::dom::element value) {
  std::string out;
  simdjson::dom::array array;
  simdjson::dom::object object;
  std::string_view text;
  if (value.get(text) == simdjson::SUCCESS) return toml_string(text);
  if (value.get(array) == simdjson::SUCCESS) {
    for (simdjson::dom::element e : array) out += (out.empty() ? "" : ", ") + toml_of(e);
    return "[" + out + "]";
  }
  if (value.get(object) == simdjson::SUCCESS) {
    for (auto [key, member] : object) out += (out.empty() ? "" : ", ") + toml_string(key) + " = " + toml_of(member);
    return "{" + out + "}";
  }
  return simdjson::to_string(value);
}

std::string toml_of_json(const std::string& json) {
  simdjson::dom::parser parser;
  return toml_of(parser.parse(json).value());
}

std::string print_column(const ingest::stream_column& column) {
  std::string out = "  {name = " + toml_string(column.name) + ", pointer = " + toml_string(column.pointer) +
                    ", type = " + toml_string(db::name_of(column.type));
  if (column.required) out += ", required = true";
  if (column.default_value) out += ", default = " + toml_of_json(*column.default_value);
  return out + "},\n";
}

std::string print_stream(const ingest::stream_definition& stream, const std::string& origin) {
  std::string out = "\n[[stream]]  # " + origin + "\n";
  out += "name = " + toml_string(stream.name) + "\ntable = " + toml_string(stream.table) + "\n";
  if (!stream.key.empty()) {
    std::string names;
    for (const std::string& column : stream.key) names += (names.empty() ? "" : ", ") + toml_string(column);
    out += "key = [" + names + "]\n";
  }
  if (stream.columns.empty()) return out;
  out += "columns = [\n";
  for (const ingest::stream_column& column : stream.columns) out += print_column(column);
  return out + "]\n";
}

std::string code(std::string_view text) { return "`" + std::string(text) + "`"; }

std::string_view form_of(value_kind kind) {
  switch (kind) {
    case value_kind::text:
      return "text";
    case value_kind::url:
      return "URL";
    case value_kind::endpoints:
      return "list of endpoints";
    case value_kind::count:
      return "whole number";
    case value_kind::bytes:
      return "size";
    case value_kind::duration:
      return "duration";
    case value_kind::level:
      return "`debug`, `info`, `warn`, `error`, `off`";
    case value_kind::format:
      return "`text`, `json`";
    case value_kind::mode:
      return "mode of a file";
  }
  return "";
}

constexpr std::string_view reference_head = R"(# Configuration

Everything that `penstock serve` can be told. Without being told anything it serves one stream, `items`, on
127.0.0.1:8080 and stores it in `penstock.db`. Later sources win: the default, the config file (`--config FILE` or
`PENSTOCK_CONFIG`), the environment, the command line. `penstock serve --print-config`, with the rest of the command
line as it is meant to be run, prints what comes of it, each value with where it came from, and exits.

An unknown key or a value that does not fit is an error: all that is wrong with a file is reported at once, with the
line and the nearest name there is. Unknown `PENSTOCK_` variables are only warned about, since container platforms set
some of their own. A variable made from the key instead of the option is taken too: `PENSTOCK_STORE_URL`.

- A *size* is a number of bytes, or a text with a unit: `"512KiB"`, `"4MiB"`, `"1GB"`.
- A *duration* is a text with a unit: `"1ms"`, `"30s"`, `"2h30m"`; at most 100 years, `"36500d"`.
- The *mode of a file* is a text with three octal digits: `"0660"`.
- An *endpoint* is `"HOST:PORT"` or `"unix:PATH"`. In the environment and in one option several are separated by
  commas; `--listen` may also be repeated.

This page is what `penstock serve --print-config-reference` prints.
)";

constexpr std::string_view reference_streams = R"(
## Streams

Each `[[stream]]` table of the config file is a kind of items: `POST /v1/NAME` stores them in a table. Streams are set
in the file only; the first one there takes the place of the default, `items` into table `processed_data`.

| key | type | default | |
|---|---|---|---|
| `name` | text | required | The name in the URL: at most 64 letters, digits, `_` and `-` |
| `table` | text | the name | Made when missing, checked when there |
| `key` | list of columns | none | Columns that are unique together; an item that repeats one is a duplicate, and not stored again. Each is required unless it has a default |
| `columns` | list of tables | none | What goes into which column. None: the table is `id`, `data` (the item as JSON) and `created_at` |

Each of `columns` is:

| key | type | default | |
|---|---|---|---|
| `name` | text | required | The column |
| `pointer` | text | `/` and the name | Which part of the item, a JSON pointer (RFC 6901); `""` is the whole item |
| `type` | `integer`, `real`, `text`, `boolean`, `timestamp`, `json` | `"text"` | What the column holds |
| `required` | boolean | `false` | An item without the part, or with null there, is rejected |
| `default` | any | NULL | What stands for a missing part, or for null; not together with `required` |

```toml
[[stream]]
name = "orders"
table = "orders"
key = ["number"]
columns = [
  {name = "number", pointer = "/order/number", type = "integer", required = true},
  {name = "placed_at", pointer = "/order/time", type = "timestamp"},
  {name = "currency", default = "EUR"},
  {name = "lines", type = "json"},
]
```
)";

}  // namespace

std::string print_config(const loaded_config& loaded) {
  std::string out = "# What 'penstock serve' does with these options; behind each value, where it came from.\n";
  std::string_view section;
  std::size_t i = 0;
  for (const option& o : option_table()) {
    if (o.section() != section) out += "\n[" + std::string(section = o.section()) + "]\n";
    out += std::string(o.name()) + " = " + format_option(o, loaded.values) + "  # " + loaded.origins[i++] + "\n";
  }
  for (std::size_t s = 0; s < loaded.values.ingest.streams.size(); ++s)
    out += print_stream(loaded.values.ingest.streams[s], loaded.stream_origins[s]);
  return out;
}

std::string print_config_reference() {
  constexpr std::string_view head = "\n| key | option, variable | type | default | |\n|---|---|---|---|---|\n";
  std::string out(reference_head);
  std::string_view section;
  serve_config defaults;
  out += "\n## Options\n" + std::string(head);
  for (const option& o : option_table()) {
    if (o.section() != section) out += "\n### [" + std::string(section = o.section()) + "]\n" + std::string(head);
    out += "| " + code(o.key) + " | " + code(o.flag) + ", " + code(o.variable()) + " | " +
           std::string(form_of(o.kind)) + " | " + code(format_option(o, defaults)) + " | " + std::string(o.help) +
           " |\n";
  }
  return out + std::string(reference_streams);
}

}  // namespace penstock::app
