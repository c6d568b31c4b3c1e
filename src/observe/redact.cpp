// Invariant: where it is unclear whether something is a secret, it is taken for one.

#include "penstock/observe/log.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <string>
#include <string_view>

namespace penstock::log {
namespace {

constexpr std::string_view mask = "***";
// Secret wherever they stand in a name, once separators are gone.
constexpr std::array<std::string_view, 8> anywhere = {"password",      "passwd", "passphrase", "secret",
                                                      "authorization", "cookie", "credential", "apikey"};
// Secret as a word of a name: "access_token" is, "tokenizer" and "tokens" are not.
constexpr std::array<std::string_view, 4> words = {"token", "pwd", "bearer", "jwt"};
constexpr std::string_view private_key = "privatekey";

char lower(char c) { return static_cast<char>(std::tolower(static_cast<unsigned char>(c))); }
bool upper_case(char c) { return c >= 'A' && c <= 'Z'; }
bool lower_case(char c) { return c >= 'a' && c <= 'z'; }
bool separator(char c) { return !std::isalnum(static_cast<unsigned char>(c)); }

bool is_secret_word(std::string_view word) { return std::find(words.begin(), words.end(), word) != words.end(); }

// "u:p@host" of a URL as a person may have typed it: the password may hold '@', and '/' where the port would not be a
// number otherwise.
std::size_t end_of_user_info(std::string_view rest) {
  std::size_t end = std::min(rest.find_first_of("/?#"), rest.size());
  if (std::size_t at = rest.substr(0, end).rfind('@'); at != std::string_view::npos) return at;
  std::size_t colon = rest.substr(0, end).find(':');
  if (colon == std::string_view::npos || rest.starts_with('[')) return std::string_view::npos;
  std::string_view port = rest.substr(colon + 1, end - colon - 1);
  if (std::all_of(port.begin(), port.end(), [](char c) { return c >= '0' && c <= '9'; })) return std::string_view::npos;
  return rest.rfind('@');
}

// Behind "scheme://", also where a slash, the colon or the scheme is missing.
std::size_t start_of_authority(std::string_view url) {
  if (url.starts_with("//")) return 2;
  if (std::size_t scheme = url.find("://"); scheme != std::string_view::npos) return scheme + 3;
  if (url.starts_with('/') || url.starts_with("sqlite:")) return url.size();  // a path, with what signs it likes
  std::size_t scheme = 0;
  while (scheme < url.size() && std::isalnum(static_cast<unsigned char>(url[scheme]))) ++scheme;
  std::size_t slashes = scheme + (url.substr(scheme).starts_with(':') ? 1 : 0);
  std::size_t behind = std::min(url.find_first_not_of('/', slashes), url.size());
  return behind == slashes ? 0 : behind;
}

// Of a URL whose hosts each came with an account, or as a URL: what is behind the first host, up to the last '@', is
// taken off `rest`, and given masked. Where no account is told but one, nothing.
std::string take_other_accounts(std::string_view& rest) {
  std::size_t hosts_end = std::min(rest.find_first_of("/?#"), rest.size());
  bool are_urls = rest.find("://", hosts_end) != std::string_view::npos;
  std::size_t at = rest.substr(0, are_urls ? rest.size() : rest.find('?')).rfind('@');
  if (at == std::string_view::npos || at < hosts_end) return {};
  std::string out(rest.substr(0, hosts_end + 1));
  rest.remove_prefix(at);
  return out += mask;
}

std::string redact_query(std::string_view text) {
  std::size_t query = text.find('?');
  if (query == std::string_view::npos) return std::string(text);
  std::string out(text.substr(0, query + 1));
  std::size_t fragment = std::min(text.find('#', query), text.size());
  for (std::size_t i = query + 1; i < fragment;) {
    std::size_t end = std::min(text.find('&', i), fragment);
    std::string_view parameter = text.substr(i, end - i);
    std::size_t equals = parameter.find('=');
    if (equals != std::string_view::npos && names_a_secret(parameter.substr(0, equals))) {
      out += parameter.substr(0, equals + 1);
      out += mask;
    } else {
      out += parameter;
    }
    if (end < fragment) out += '&';
    i = end + 1;
  }
  out += text.substr(fragment);
  return out;
}

}  // namespace

bool names_a_secret(std::string_view name) noexcept {
  constexpr std::size_t longest = 64;  // Longer names are cut: what names a secret stands in the first words.
  std::array<char, longest> joined{};
  std::size_t size = 0;
  std::size_t word = 0;
  for (std::size_t i = 0; i < name.size() && size < longest; ++i) {
    bool starts_word = separator(name[i]) || (i > 0 && upper_case(name[i]) && lower_case(name[i - 1]));
    if (starts_word) {
      if (is_secret_word({joined.data() + word, size - word})) return true;
      word = size;
    }
    if (!separator(name[i])) joined[size++] = lower(name[i]);
  }
  if (is_secret_word({joined.data() + word, size - word})) return true;
  std::string_view all(joined.data(), size);
  return all.find(private_key) != std::string_view::npos ||
         std::any_of(anywhere.begin(), anywhere.end(),
                     [&](std::string_view part) { return all.find(part) != std::string_view::npos; });
}

std::string redact_url(std::string_view url) {
  std::size_t start = start_of_authority(url);
  std::string_view rest = url.substr(start);
  std::size_t at = end_of_user_info(rest);
  std::string out(url.substr(0, start));
  if (at != std::string_view::npos) {
    std::size_t colon = rest.substr(0, at).find(':');
    if (colon != std::string_view::npos) {
      out += rest.substr(0, colon + 1);
      out += mask;
      rest.remove_prefix(at);
    }
    out += take_other_accounts(rest);
  }
  out += rest;
  return redact_query(out);
}

}  // namespace penstock::log
