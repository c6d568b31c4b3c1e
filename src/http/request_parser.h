#pragma once

// One request's grammar and framing, by Beast's sans-IO parser. The head is given whole and stays the caller's; the
// body is given as it comes.

#include "penstock/http/request.h"

#include <cstdint>
#include <optional>
#include <string_view>

#include <boost/beast/http/basic_parser.hpp>

namespace penstock::http {

class request_parser final : private boost::beast::http::basic_parser<true> {
 public:
  // Fields refer to `head`, which passed `check_head`. Throws `protocol_error`.
  request_parser(std::string_view head, request& r, std::size_t most_fields, std::uint64_t most_body_bytes);

  using basic_parser::is_done;
  using basic_parser::keep_alive;
  bool expects_continue() const noexcept { return expects_continue_; }
  std::optional<std::uint64_t> body_length();

  struct step {
    std::size_t consumed = 0;
    std::string_view body;  // a piece of the body within the data; may be empty
    bool need_more = false;
  };
  // Takes a step over the body's data. Throws `protocol_error` for malformed chunks and too long bodies.
  step put_body(std::string_view data);

 private:
  using error_code = boost::beast::error_code;
  using field = boost::beast::http::field;
  using verb = boost::beast::http::verb;

  std::size_t put_all(std::string_view data, error_code& failure);
  [[noreturn]] void fail(const error_code& failure) const;

  void on_request_impl(verb, boost::beast::string_view method, boost::beast::string_view target, int version,
                       error_code&) override;
  void on_response_impl(int, boost::beast::string_view, int, error_code&) override {}
  void on_field_impl(field, boost::beast::string_view name, boost::beast::string_view value, error_code&) override;
  void on_header_impl(error_code&) override { in_head_ = false; }
  void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}
  std::size_t on_body_impl(boost::beast::string_view body, error_code&) override;
  void on_chunk_header_impl(std::uint64_t, boost::beast::string_view, error_code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, boost::beast::string_view body, error_code&) override;
  void on_finish_impl(error_code&) override {}

  request& request_;
  std::size_t most_fields_;
  bool in_head_ = true;
  bool expects_continue_ = false;
  bool too_many_fields_ = false;
  bool bad_expectation_ = false;
  bool bad_trailer_ = false;
  std::string_view piece_;
};

}  // namespace penstock::http
