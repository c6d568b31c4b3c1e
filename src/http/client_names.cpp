#include "client_names.h"

#include "penstock/net/resolver.h"

#include <arpa/inet.h>

// libcurl would start a thread for each lookup, and wait for it when a transfer is abandoned; the loop's own resolver
// does neither.

namespace penstock::http {
namespace {

constexpr duration lifetime = std::chrono::seconds(60);
constexpr std::size_t most_names = 1000;

bool is_address(const std::string& host) {
  in6_addr parsed;
  // An IPv6 address may name its zone ("fe80::1%eth0").
  return host.find(':') != std::string::npos || ::inet_pton(AF_INET, host.c_str(), &parsed) == 1;
}

std::string joined(const std::vector<std::string>& addresses) {
  std::string text;
  for (const std::string& address : addresses) {
    if (!text.empty()) text += ',';
    bool v6 = address.find(':') != std::string::npos;
    text += v6 ? "[" + address + "]" : address;
  }
  return text;
}

}  // namespace

task<std::string> name_cache::addresses_of(std::string host) {
  if (is_address(host)) co_return std::string();
  std::shared_ptr<entry> known = entry_of(host);
  mutex::guard looking_up = co_await known->looking_up.lock();
  if (known->expires <= scheduler::current().now()) {
    task<std::vector<std::string>> lookup = net::resolve_host(host);
    std::vector<std::string> found = co_await std::move(lookup);
    known->addresses = joined(found);
    known->expires = scheduler::current().now() + lifetime;
  }
  co_return known->addresses;
}

std::shared_ptr<name_cache::entry> name_cache::entry_of(const std::string& host) {
  if (auto found = entries_.find(host); found != entries_.end()) return found->second;
  if (entries_.size() >= most_names) {
    time_point now = scheduler::current().now();
    std::erase_if(entries_, [&](const auto& e) { return e.second->expires <= now; });
    if (entries_.size() >= most_names) entries_.erase(entries_.begin());
  }
  return entries_.emplace(host, std::make_shared<entry>()).first->second;
}

}  // namespace penstock::http
