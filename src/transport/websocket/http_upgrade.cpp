#include "transport/websocket/http_upgrade.hpp"

#include <fmt/core.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/rfc7230.hpp>

#include "base/check.hpp"

namespace warren::transport::websocket {
namespace {

namespace http = boost::beast::http;

constexpr std::string_view kEnd = "\r\n\r\n";
// Source: RFC 6455, section 1.3.
constexpr std::string_view kGuid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
constexpr std::size_t kKeyTextBytes = 24;

std::string base64(BytesView bytes) {
  std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');  // OpenSSL writes a zero behind it.
  const int size = ::EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()), bytes.data(),
                                     static_cast<int>(bytes.size()));
  text.resize(static_cast<std::size_t>(size));
  return text;
}

std::string accept_text(std::string_view key) {
  const std::string text = std::string(key).append(kGuid);
  std::array<std::uint8_t, 20> digest{};
  WARREN_CHECK(
      ::EVP_Digest(text.data(), text.size(), digest.data(), nullptr, ::EVP_sha1(), nullptr) == 1);
  return base64(digest);
}

bool is_key(std::string_view key) {
  const auto is_digit = [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' ||
           c == '/';
  };
  return key.size() == kKeyTextBytes && key.ends_with("==") &&
         std::ranges::all_of(key.substr(0, kKeyTextBytes - 2), is_digit);
}

template <bool kIsRequest>
using Parser = http::parser<kIsRequest, http::empty_body>;

template <bool kIsRequest>
Result<> parse(Parser<kIsRequest>& parser, std::string_view head) {
  parser.header_limit(static_cast<std::uint32_t>(kHeadBytesMax));
  // Whatever a response says of its body: none is read.
  if constexpr (!kIsRequest) parser.skip(true);
  boost::system::error_code error;
  parser.put(boost::asio::const_buffer(head.data(), head.size()), error);
  if (error && !parser.is_header_done()) {
    return fail(ErrorCode::kMalformed,
                fmt::format("WebSocket: a broken HTTP head: {}", error.message()));
  }
  return {};
}

template <class Message>
bool has_token(const Message& message, http::field field, std::string_view token) {
  const auto [begin, end] = message.equal_range(field);
  return std::any_of(begin, end, [token](const auto& one) {
    return http::token_list(one.value()).exists({token.data(), token.size()});
  });
}

/// The value of a header that must be there once; empty otherwise.
template <class Message>
std::string_view only(const Message& message, http::field field) {
  if (message.count(field) != 1) return {};
  const auto value = message[field];
  return {value.data(), value.size()};
}

Answer refusal(std::string_view status, ErrorCode code, std::string_view why) {
  const std::string body =
      fmt::format("This port speaks libp2p over WebSocket, and nothing else: {}.\n", why);
  return {fmt::format("HTTP/1.1 {}\r\nConnection: close\r\nUpgrade: websocket\r\n"
                      "Sec-WebSocket-Version: 13\r\nContent-Type: text/plain\r\n"
                      "Content-Length: {}\r\n\r\n{}",
                      status, body.size(), body),
          fail(code, fmt::format("WebSocket: the peer's HTTP request: {}", why))};
}

}  // namespace

Result<bool> Head::add(BytesView bytes) {
  const std::size_t before = bytes_.size();
  bytes_.append(as_text(bytes));
  const std::size_t found =
      bytes_.find(kEnd, before < kEnd.size() ? 0 : before - (kEnd.size() - 1));
  const std::size_t end = found == std::string::npos ? bytes_.size() : found + kEnd.size();
  for (std::size_t i = before; i < end; ++i) {
    const auto byte = static_cast<std::uint8_t>(bytes_[i]);
    if (byte >= 0x20 || byte == '\r' || byte == '\n' || byte == '\t') continue;
    return fail(ErrorCode::kMalformed,
                fmt::format("WebSocket: byte 0x{:02x} where HTTP begins", byte),
                "Is the other side's address one of plain TCP, or of TLS?");
  }
  if (end > kHeadBytesMax || (found == std::string::npos && end == kHeadBytesMax)) {
    return fail(ErrorCode::kTooLarge,
                fmt::format("WebSocket: no end of the HTTP head within {} bytes", kHeadBytesMax));
  }
  if (found == std::string::npos) return false;
  end_ = end;
  return true;
}

std::string key_text(BytesView random) {
  WARREN_CHECK(random.size() == kKeyBytes);
  return base64(random);
}

std::string make_request(std::string_view host, std::string_view key) {
  return fmt::format(
      "GET / HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Key: {}\r\nSec-WebSocket-Version: 13\r\n\r\n",
      host, key);
}

Result<> check_response(std::string_view head, std::string_view key) {
  Parser<false> parser;
  WARREN_TRY_VOID(parse(parser, head));
  const auto& response = parser.get();
  if (response.result() != http::status::switching_protocols) {
    return fail(
        ErrorCode::kUnsupported,
        fmt::format("WebSocket: the server answered with HTTP status {}", response.result_int()),
        "Something else listens on that port");
  }
  if (!has_token(response, http::field::upgrade, "websocket") ||
      !has_token(response, http::field::connection, "upgrade") ||
      only(response, http::field::sec_websocket_accept) != accept_text(key)) {
    return fail(ErrorCode::kMalformed, "WebSocket: the server's response does not fit the request");
  }
  if (response.count(http::field::sec_websocket_extensions) != 0 ||
      response.count(http::field::sec_websocket_protocol) != 0) {
    return fail(ErrorCode::kMalformed,
                "WebSocket: the server uses an extension or a subprotocol that was not asked for");
  }
  return {};
}

Answer answer_request(std::string_view head) {
  constexpr std::string_view kBad = "400 Bad Request";
  Parser<true> parser;
  if (auto parsed = parse(parser, head); !parsed) {
    return refusal(kBad, ErrorCode::kMalformed, "it is broken");
  }
  const auto& request = parser.get();
  if (request.version() != 11) {
    return refusal(kBad, ErrorCode::kUnsupported, "it is not HTTP/1.1");
  }
  if (request.method() != http::verb::get) {
    return refusal("405 Method Not Allowed\r\nAllow: GET", ErrorCode::kUnsupported, "it is no GET");
  }
  if (request.count(http::field::content_length) != 0 ||
      request.count(http::field::transfer_encoding) != 0) {
    return refusal(kBad, ErrorCode::kMalformed, "it has a body");
  }
  if (!has_token(request, http::field::upgrade, "websocket") ||
      !has_token(request, http::field::connection, "upgrade")) {
    return refusal("426 Upgrade Required", ErrorCode::kUnsupported, "it asks for no WebSocket");
  }
  if (only(request, http::field::sec_websocket_version) != "13") {
    return refusal("426 Upgrade Required", ErrorCode::kUnsupported, "not version 13 of WebSocket");
  }
  const std::string_view key = only(request, http::field::sec_websocket_key);
  if (!is_key(key) || request.count(http::field::host) != 1) {
    return refusal(kBad, ErrorCode::kMalformed, "it lacks a host or a key");
  }
  return {fmt::format("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                      "Connection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n\r\n",
                      accept_text(key)),
          {}};
}

}  // namespace warren::transport::websocket
