#include "penstock/ingest/item_parser.h"

#include "compiled_stream.h"
#include "json_parts.h"
#include "penstock/ingest/json_diagnosis.h"

#include <bit>
#include <new>
#include <vector>

// An item is checked as a whole before any of it is used, and all its cells are made before the first is added, so a
// refused item leaves nothing behind. Memory only grows to the largest item seen: per item there is the copy of the
// cells into the batch and nothing else.

namespace penstock::ingest {
namespace {

namespace dom = simdjson::dom;

item_error syntax_error(const json_fault& fault) {
  return {code_name(fault.too_deep ? item_errc::too_large : item_errc::syntax), std::string(fault.message), "",
          fault.offset};
}

std::string_view without_white_space(std::string_view text) noexcept {
  constexpr std::string_view white_space = " \t\r\n";
  std::size_t first = text.find_first_not_of(white_space);
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(white_space) + 1 - first);
}

}  // namespace

struct item_parser::implementation {
  explicit implementation(item_schema s)
      : schema(std::move(s)),
        stream(*schema.compiled_),
        parts(stream.rules.size()),
        cells(stream.rules.size()),
        met(stream.tree.size()) {}

  std::optional<item_error> add_whole(std::string_view item, db::timestamp taken_in, db::row_batch& into);
  std::optional<item_error> add_mapped(std::string_view item, db::row_batch& into);
  simdjson::error_code parse(std::string_view json, dom::element& root);
  simdjson::error_code parse_with_big_numbers(std::string_view json, dom::element& root);
  std::optional<item_error> refusal(std::string_view item, simdjson::error_code why) const;
  void collect(dom::element value, std::uint32_t node);
  void collect_members(dom::object members, const pointer_tree::node& node);
  void collect_below(dom::element value, std::uint32_t node);
  void forget(std::uint32_t node) noexcept;
  void add_cells(db::row_batch& into) const;

  item_schema schema;
  const compiled_stream& stream;
  dom::parser parser;
  std::vector<item_part> parts;    // one a column
  std::vector<db::cell> cells;     // one a column
  std::vector<std::uint64_t> met;  // for each node of the tree, the last item that has it
  std::uint64_t items = 0;
  std::string scratch;
  std::vector<char> blanked;
  std::vector<std::string_view> big_numbers;
};

item_parser::item_parser(item_schema schema) : implementation_(std::make_unique<implementation>(std::move(schema))) {}
item_parser::item_parser(item_parser&&) noexcept = default;
item_parser& item_parser::operator=(item_parser&&) noexcept = default;
item_parser::~item_parser() = default;

const item_schema& item_parser::schema() const noexcept { return implementation_->schema; }

std::optional<item_error> item_parser::add(std::string_view item, db::timestamp taken_in, db::row_batch& into) {
  implementation& self = *implementation_;
  return self.stream.rules.empty() ? self.add_whole(item, taken_in, into) : self.add_mapped(item, into);
}

std::optional<item_error> item_parser::implementation::add_whole(std::string_view item, db::timestamp taken_in,
                                                                 db::row_batch& into) {
  std::string_view json = without_white_space(item);
  bool is_container = !json.empty() && (json.front() == '{' || json.front() == '[');
  dom::element root;
  simdjson::error_code failure = is_container ? parse(json, root) : simdjson::TAPE_ERROR;
  if (failure != simdjson::SUCCESS)  // scalars are small: for them the diagnosis is the check
    if (std::optional<json_fault> fault = diagnose_json(item)) return syntax_error(*fault);
  into.add_text(json);
  into.add_timestamp(taken_in);
  into.commit_row();
  return std::nullopt;
}

std::optional<item_error> item_parser::implementation::add_mapped(std::string_view item, db::row_batch& into) {
  dom::element root;
  big_numbers.clear();
  simdjson::error_code failure = parse(item, root);
  if (failure != simdjson::SUCCESS && !diagnose_json(item)) failure = parse_with_big_numbers(item, root);
  if (failure != simdjson::SUCCESS) return refusal(item, failure);
  if (!root.is_object())
    return item_error{code_name(item_errc::not_an_object), "expected an object, got " + std::string(kind_of(root)), ""};

  for (item_part& part : parts) part.present = part.is_big_number = false;
  ++items;
  collect(root, 0);
  if (stream.has_json_columns || !big_numbers.empty()) find_parts(stream.tree, item, parts, scratch);
  for (std::string_view number : big_numbers)
    for (item_part& part : parts) part.is_big_number = part.is_big_number || part.text.data() == number.data();
  for (std::size_t i = 0; i < parts.size(); ++i)
    if (std::optional<item_error> wrong = make_cell(stream.rules[i], parts[i], cells[i])) return wrong;
  add_cells(into);
  return std::nullopt;
}

// Reads in place: `json` has its padding behind it.
simdjson::error_code item_parser::implementation::parse(std::string_view json, dom::element& root) {
  if (parser.capacity() < json.size()) {
    std::size_t capacity = std::bit_ceil(std::max<std::size_t>(json.size(), 4'096));
    if (parser.allocate(capacity, most_item_depth) != simdjson::SUCCESS ||
        parser.doc.allocate(capacity) != simdjson::SUCCESS)
      throw std::bad_alloc();
  }
  return parser.parse(json.data(), json.size(), false).get(root);
}

// The parser takes no integers beyond 64 bits and no reals beyond a double, though they are JSON, and may be there for
// a column that takes them, or for none. It gets zeros in their place, and the columns their text.
simdjson::error_code item_parser::implementation::parse_with_big_numbers(std::string_view json, dom::element& root) {
  constexpr std::size_t fewest_digits = 19;
  blanked.assign(json.begin(), json.end());
  blanked.resize(json.size() + item_padding);
  for (auto number = next_number(json, 0); number;) {
    std::size_t at = static_cast<std::size_t>(number->data() - json.data());
    bool may_be_big = number->size() >= fewest_digits || number->find_first_of("eE") != number->npos;
    if (may_be_big && parse(*number, root) != simdjson::SUCCESS) {
      big_numbers.push_back(*number);
      std::fill_n(blanked.begin() + static_cast<std::ptrdiff_t>(at), number->size(), ' ');
      blanked[at] = '0';
    }
    number = next_number(json, at + number->size());
  }
  return parse({blanked.data(), json.size()}, root);
}

std::optional<item_error> item_parser::implementation::refusal(std::string_view item, simdjson::error_code why) const {
  if (std::optional<json_fault> fault = diagnose_json(item)) return syntax_error(*fault);
  return item_error{code_name(item_errc::syntax), simdjson::error_message(why), ""};
}

// Notes the parts at and below a node of the tree. A name that comes again takes the place of what it had before.
void item_parser::implementation::collect(dom::element value, std::uint32_t index) {
  const pointer_tree::node& node = stream.tree.at(index);
  for (std::uint32_t column : node.columns) {
    parts[column].value = value;
    parts[column].present = true;
  }
  if (node.children.empty()) return;
  if (met[index] == items)
    for (const pointer_tree::child& child : node.children) forget(child.node);
  met[index] = items;
  if (value.is_object()) return collect_members(value.get_object().value_unsafe(), node);
  if (!value.is_array() || node.index_end == 0) return;
  std::uint64_t i = 0;
  dom::array elements = value.get_array().value_unsafe();
  for (dom::element element : elements) {
    if (i == node.index_end) return;
    if (std::uint32_t below = pointer_tree::find(node, i++); below != pointer_tree::none) collect(element, below);
  }
}

void item_parser::implementation::collect_members(dom::object members, const pointer_tree::node& node) {
  std::uint32_t hint = 0;
  for (dom::key_value_pair member : members)
    if (std::uint32_t below = pointer_tree::find(node, member.key, hint); below != pointer_tree::none)
      collect(member.value, below);
}

void item_parser::implementation::forget(std::uint32_t index) noexcept {
  const pointer_tree::node& node = stream.tree.at(index);
  for (std::uint32_t column : node.columns) parts[column].present = false;
  for (const pointer_tree::child& child : node.children) forget(child.node);
}

void item_parser::implementation::add_cells(db::row_batch& into) const {
  for (const db::cell& cell : cells) {
    switch (cell.type) {
      case db::cell::kind::integer:
        into.add_integer(cell.integer);
        break;
      case db::cell::kind::real:
        into.add_real(cell.real);
        break;
      case db::cell::kind::text:
        into.add_text(cell.text());
        break;
      case db::cell::kind::boolean:
        into.add_boolean(cell.integer != 0);
        break;
      case db::cell::kind::timestamp:
        into.add_timestamp(db::timestamp(std::chrono::microseconds(cell.integer)));
        break;
      case db::cell::kind::null:
      case db::cell::kind::blob:  // JSON has none
        into.add_null();
        break;
    }
  }
  into.commit_row();
}

}  // namespace penstock::ingest
