#include "answer_head.h"

#include "field_syntax.h"
#include "penstock/http/error.h"
#include "penstock/http/request.h"

#include <charconv>

namespace penstock::http {
namespace {

void append_number(std::string& out, std::uint64_t n) {
  char digits[20];
  out.append(digits, std::to_chars(digits, digits + sizeof(digits), n).ptr);
}

bool is_the_servers_to_add(std::string_view name) {
  switch (name.size()) {
    case 4:
      return equal_ignoring_case(name, "date");
    case 10:
      return equal_ignoring_case(name, "connection");
    case 14:
      return equal_ignoring_case(name, "content-length");
    case 17:
      return equal_ignoring_case(name, "transfer-encoding");
    default:
      return false;
  }
}

}  // namespace

void check_answer_field(std::string_view name, std::string_view value) {
  const char* wrong = nullptr;
  if (!is_token(name))
    wrong = "is malformed";
  else if (!is_free_of_controls(value))
    wrong = "has a line break or control character in its value";
  else if (is_the_servers_to_add(name))
    wrong = "is for the server to add: leave it out";
  if (wrong != nullptr)
    throw error(http_errc::bad_answer, "the answer's field '" + std::string(name.substr(0, 40)) + "' " + wrong);
}

void check_answer(const response& answer) {
  if (answer.status < 200 || answer.status > 599)
    throw error(http_errc::bad_answer,
                "the answer's status " + std::to_string(answer.status) + " is not in 200 to 599");
  for (const auto& [name, value] : answer.headers) check_answer_field(name, value);
}

void append_answer_head(std::string& out, const response& answer, std::string_view server_fields,
                        const answer_framing& framing) {
  out += "HTTP/1.1 ";
  append_number(out, static_cast<std::uint64_t>(answer.status));
  out += ' ';
  out += reason_phrase(answer.status);
  out += "\r\n";
  out += server_fields;
  for (const auto& [name, value] : answer.headers) {
    out += name;
    out += ": ";
    out += value;
    out += "\r\n";
  }
  if (framing.body == body_framing::length) {
    out += "Content-Length: ";
    append_number(out, framing.length);
    out += "\r\n";
  } else if (framing.body == body_framing::chunked) {
    out += "Transfer-Encoding: chunked\r\n";
  }
  if (!framing.keep_alive)
    out += "Connection: close\r\n";
  else if (framing.http_1_0)
    out += "Connection: keep-alive\r\n";
  out += "\r\n";
}

}  // namespace penstock::http
