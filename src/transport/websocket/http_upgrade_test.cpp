#include "transport/websocket/http_upgrade.hpp"

#include <gtest/gtest.h>

namespace warren::transport::websocket {
namespace {

constexpr std::string_view kKey = "dGhlIHNhbXBsZSBub25jZQ==";  // Source: RFC 6455, section 1.3.

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

std::string request() { return make_request("192.0.2.1:80", kKey); }
std::string response() { return answer_request(request()).text; }

std::string status_for(const std::string& text) {
  const Answer answer = answer_request(text);
  EXPECT_EQ(answer.agreed.has_value(), answer.text.starts_with("HTTP/1.1 101 "));
  return answer.text.substr(9, 3);
}

Result<bool> add(Head& head, std::string_view text) { return head.add(as_bytes(text)); }

TEST(HttpUpgrade, AnswersTheExampleOfTheStandard) {
  EXPECT_EQ(key_text(as_bytes("the sample nonce")), kKey);
  EXPECT_NE(response().find("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"),
            std::string::npos);
  EXPECT_TRUE(check_response(response(), kKey));
}

// As browsers and Node's "ws" write it.
TEST(HttpUpgrade, TakesWhatOthersAsk) {
  EXPECT_EQ(status_for("GET /any/path?x=1 HTTP/1.1\r\n"
                       "Sec-WebSocket-Version: 13\r\n"
                       "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                       "Connection: keep-alive, Upgrade\r\n"
                       "Upgrade: WebSocket\r\n"
                       "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
                       "Origin: https://example.com\r\n"
                       "Host: localhost:4002\r\n\r\n"),
            "101");
  EXPECT_EQ(response().find("Extensions"), std::string::npos);
}

TEST(HttpUpgrade, RefusesOtherRequestsWithAReason) {
  EXPECT_EQ(status_for(request()), "101");
  EXPECT_EQ(status_for(replaced(request(), "GET", "POST")), "405");
  EXPECT_EQ(status_for(replaced(request(), "HTTP/1.1", "HTTP/1.0")), "400");
  EXPECT_EQ(status_for(replaced(request(), "Upgrade: websocket\r\n", "")), "426");
  EXPECT_EQ(status_for(replaced(request(), "Upgrade: websocket", "Upgrade: h2c")), "426");
  EXPECT_EQ(status_for(replaced(request(), "Connection: Upgrade", "Connection: close")), "426");
  EXPECT_EQ(status_for(replaced(request(), "Version: 13", "Version: 8")), "426");
  EXPECT_EQ(status_for(replaced(request(), "Host: 192.0.2.1:80\r\n", "")), "400");
  EXPECT_EQ(status_for(replaced(request(), kKey, "short")), "400");
  EXPECT_EQ(status_for(replaced(request(), kKey, "dGhlIHNhbXBsZSBub25jZ!==")), "400");
  EXPECT_EQ(status_for(replaced(request(), "Host:", "Content-Length: 4\r\nHost:")), "400");
  EXPECT_EQ(status_for(replaced(request(), "Host:", "Transfer-Encoding: chunked\r\nHost:")), "400");
  EXPECT_EQ(status_for(replaced(request(),
                                "Host:", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nHost:")),
            "400");
  EXPECT_EQ(status_for("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), "426") << "a browser by hand";
  EXPECT_EQ(status_for("\r\n\r\n"), "400");
  EXPECT_EQ(status_for("nonsense\r\n\r\n"), "400");
  EXPECT_EQ(status_for("GET / HTTP/1.1\r\n : \r\n\r\n"), "400");
}

TEST(HttpUpgrade, TakesNoResponseButTheOneToItsKey) {
  const auto code_for = [](const std::string& text) {
    const auto result = check_response(text, kKey);
    return result ? ErrorCode::kInternal : result.error().code();
  };
  EXPECT_EQ(code_for(replaced(response(), "s3pP", "s3pQ")), ErrorCode::kMalformed);
  EXPECT_EQ(code_for(replaced(response(), "Upgrade: websocket\r\n", "")), ErrorCode::kMalformed);
  EXPECT_EQ(code_for(replaced(response(), "Connection: Upgrade\r\n", "")), ErrorCode::kMalformed);
  EXPECT_EQ(code_for(replaced(response(), "Connection",
                              "Sec-WebSocket-Extensions: permessage-deflate\r\nConnection")),
            ErrorCode::kMalformed);
  EXPECT_EQ(code_for(replaced(response(), "Connection", "Sec-WebSocket-Protocol: x\r\nConnection")),
            ErrorCode::kMalformed);
  EXPECT_EQ(code_for("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"), ErrorCode::kUnsupported);
  EXPECT_EQ(code_for("HTTP/1.1 404 Not Found\r\n\r\n"), ErrorCode::kUnsupported);
  EXPECT_EQ(code_for("nonsense\r\n\r\n"), ErrorCode::kMalformed);
  EXPECT_EQ(code_for(replaced(response(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
                              "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Accept: other")),
            ErrorCode::kMalformed);
}

TEST(HttpHead, EndsAtTheEmptyLineWhereverItIsCut) {
  const std::string text = request() + "\x82\x01x and more\r\n\r\n";
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    Head head;
    bool whole = add(head, text.substr(0, cut)).value();
    EXPECT_EQ(whole, cut >= request().size()) << cut;
    std::string rest;
    if (whole) {
      rest = text.substr(cut);
    } else {
      whole = add(head, text.substr(cut)).value();
    }
    ASSERT_TRUE(whole);
    EXPECT_EQ(head.text(), request());
    EXPECT_EQ(std::string(as_text(head.rest())) + rest, text.substr(request().size()));
  }
  Head head;
  for (std::size_t i = 0; i + 1 < request().size(); ++i) {
    ASSERT_FALSE(add(head, request().substr(i, 1)).value());
  }
  EXPECT_TRUE(add(head, "\n").value());
}

TEST(HttpHead, RefusesAnEndlessLine) {
  Head head;
  ASSERT_FALSE(add(head, "GET /").value());
  Result<bool> result = false;
  std::size_t added = 0;
  for (; result && added < 20'000; added += 100) result = add(head, std::string(100, 'a'));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), ErrorCode::kTooLarge);
  EXPECT_LE(added, kHeadBytesMax + 100);
}

TEST(HttpHead, RefusesALongHeadInOnePiece) {
  Head head;
  const auto result =
      add(head, "GET / HTTP/1.1\r\nX: " + std::string(kHeadBytesMax, 'a') + "\r\n\r\n");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), ErrorCode::kTooLarge);
}

TEST(HttpHead, KnowsOtherProtocolsByTheirFirstByte) {
  for (const std::string_view text : {"\x13/multistream/1.0.0\n", "\x16\x03\x01"}) {
    Head head;
    const auto result = add(head, text);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code(), ErrorCode::kMalformed);
  }
}

}  // namespace
}  // namespace warren::transport::websocket
