#include <penstock/ingest/body_decoder.h>
#include <penstock/ingest/error.h>

#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

namespace penstock::ingest {
namespace {

std::string gzipped(std::string_view text) {
  z_stream stream{};
  deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, text.size()) + 32, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string zstandard(std::string_view text, int window_log = 20) {
  ZSTD_CCtx* context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, window_log);
  ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0);
  ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
  std::string out(ZSTD_compressBound(text.size()), '\0');
  ZSTD_inBuffer in{text.data(), text.size(), 0};
  ZSTD_outBuffer made{out.data(), out.size(), 0};
  ZSTD_inBuffer nothing{nullptr, 0, 0};
  ZSTD_compressStream2(context, &made, &nothing, ZSTD_e_flush);  // so that the frame does not know its size
  EXPECT_EQ(ZSTD_compressStream2(context, &made, &in, ZSTD_e_end), 0u);
  out.resize(made.pos);
  ZSTD_freeCCtx(context);
  return out;
}

std::string coded(content_coding coding, std::string_view text) {
  if (coding == content_coding::gzip) return gzipped(text);
  return coding == content_coding::zstd ? zstandard(text) : std::string(text);
}

std::string decoded(content_coding coding, const std::vector<std::string_view>& pieces,
                    std::uint64_t most_bytes = 1 << 30) {
  body_decoder decoder(coding, most_bytes);
  std::string out;
  for (std::string_view piece : pieces) {
    std::vector<char> memory(piece.begin(), piece.end());  // gone before the next piece comes
    decoder.feed({memory.data(), memory.size()});
    for (std::string_view part = decoder.next(); !part.empty(); part = decoder.next()) out += part;
  }
  decoder.finish();
  return out;
}

std::string refusal(content_coding coding, std::string_view body, std::uint64_t most_bytes = 1 << 30) {
  try {
    decoded(coding, {body}, most_bytes);
    return "";
  } catch (const error& e) {
    EXPECT_TRUE(e.is(ingest_errc::bad_encoding) || e.is(ingest_errc::body_too_large));
    EXPECT_EQ(e.is(ingest_errc::body_too_large), e.message().starts_with("the body is longer than")) << e.what();
    return e.message();
  }
}

std::string sample(std::size_t size) {
  std::mt19937 random(3);
  std::string text;
  while (text.size() < size) text += "{\"n\":" + std::to_string(random() % 1000) + "}\n";
  return text;
}

constexpr content_coding all_codings[] = {content_coding::identity, content_coding::gzip, content_coding::zstd};

TEST(body_decoder, reads_the_codings_that_a_field_can_name) {
  EXPECT_EQ(parse_content_coding(""), content_coding::identity);
  EXPECT_EQ(parse_content_coding(" Identity "), content_coding::identity);
  EXPECT_EQ(parse_content_coding("gzip"), content_coding::gzip);
  EXPECT_EQ(parse_content_coding("X-GZip"), content_coding::gzip);
  EXPECT_EQ(parse_content_coding("zstd"), content_coding::zstd);
  for (const char* other : {"br", "deflate", "gzip, zstd", "gzip,gzip", "gz ip"}) {
    try {
      parse_content_coding(other);
      ADD_FAILURE() << other;
    } catch (const error& e) {
      EXPECT_TRUE(e.is(ingest_errc::unsupported_media));
      EXPECT_EQ(e.message(),
                "Content-Encoding '" + std::string(other) + "' is none that is read: send gzip, zstd or identity");
    }
  }
}

TEST(body_decoder, decodes_the_same_wherever_the_body_is_cut) {
  std::string text = sample(700);
  for (content_coding coding : all_codings) {
    std::string body = coded(coding, text);
    for (std::size_t cut = 0; cut <= body.size(); ++cut)
      EXPECT_EQ(decoded(coding, {std::string_view(body).substr(0, cut), std::string_view(body).substr(cut)}), text)
          << cut;
    std::vector<std::string_view> bytes;
    for (std::size_t i = 0; i < body.size(); ++i) bytes.push_back(std::string_view(body).substr(i, 1));
    EXPECT_EQ(decoded(coding, bytes), text);
  }
}

TEST(body_decoder, decodes_more_than_its_buffer_holds) {
  for (std::size_t size : {std::size_t{64} << 10, std::size_t{128} << 10, std::size_t{3} << 20}) {
    std::string text = sample(size).substr(0, size);
    for (content_coding coding : all_codings) EXPECT_TRUE(decoded(coding, {coded(coding, text)}) == text) << size;
  }
}

TEST(body_decoder, takes_members_and_frames_in_a_row_as_one_body) {
  std::string empty_member = gzipped("");
  EXPECT_EQ(decoded(content_coding::gzip, {gzipped("one ") + empty_member + gzipped("two")}), "one two");
  EXPECT_EQ(decoded(content_coding::zstd, {zstandard("one ") + zstandard("") + zstandard("two")}), "one two");
  EXPECT_EQ(decoded(content_coding::gzip, {empty_member}), "");
}

// As tapes and some archives have them; gzip(1) passes over them too.
TEST(body_decoder, passes_over_zeros_behind_the_last_gzip_member) {
  std::string text = sample(300);
  std::string padded = gzipped(text) + std::string(100'000, '\0');
  EXPECT_EQ(decoded(content_coding::gzip, {padded}), text);
  EXPECT_EQ(decoded(content_coding::gzip, {gzipped(text), std::string_view("\0", 1), std::string_view("\0\0", 2)}),
            text);
  EXPECT_EQ(refusal(content_coding::gzip, padded + "x"),
            "the gzip body is damaged after " + std::to_string(text.size()) +
                " decoded bytes: something follows the zeros behind its end");
  EXPECT_EQ(refusal(content_coding::gzip, padded + gzipped(text)), refusal(content_coding::gzip, padded + "x"));
  EXPECT_EQ(refusal(content_coding::gzip, std::string(100, '\0')),
            "the gzip body is damaged after 0 decoded bytes: incorrect header check");
  EXPECT_EQ(refusal(content_coding::gzip, std::string(100, '\0') + gzipped(text)),
            "the gzip body is damaged after 0 decoded bytes: incorrect header check");
}

TEST(body_decoder, passes_an_identity_body_on_without_a_copy) {
  body_decoder decoder(content_coding::identity);
  std::string_view piece = "as it is";
  decoder.feed(piece);
  EXPECT_EQ(decoder.next().data(), piece.data());
  EXPECT_TRUE(decoder.next().empty());
  decoder.finish();
}

TEST(body_decoder, refuses_a_body_that_ends_too_early) {
  for (content_coding coding : {content_coding::gzip, content_coding::zstd}) {
    std::string name = coding == content_coding::gzip ? "gzip" : "zstd";
    std::string body = coded(coding, sample(300));
    EXPECT_EQ(refusal(coding, ""), "the " + name + " body is empty");
    for (std::size_t size = 1; size < body.size(); ++size)
      EXPECT_EQ(refusal(coding, std::string_view(body).substr(0, size)), "the " + name + " body ends too early")
          << size;
    EXPECT_EQ(refusal(coding, body + body.substr(0, 5)), "the " + name + " body ends too early");
  }
}

TEST(body_decoder, refuses_damaged_bodies) {
  EXPECT_EQ(refusal(content_coding::gzip, "{\"a\":1}"),
            "the gzip body is damaged after 0 decoded bytes: incorrect header check");
  EXPECT_EQ(refusal(content_coding::gzip, gzipped("x") + "trailing"),
            "the gzip body is damaged after 1 decoded bytes: incorrect header check");
  std::string body = gzipped(sample(300));
  body[body.size() - 6] = static_cast<char>(body[body.size() - 6] ^ 1);
  EXPECT_TRUE(refusal(content_coding::gzip, body).ends_with(": incorrect data check"));
  EXPECT_TRUE(refusal(content_coding::zstd, "{\"a\":1}").starts_with("the zstd body is damaged after 0 decoded bytes"));
  body = zstandard(sample(300));
  body[body.size() / 2] = static_cast<char>(body[body.size() / 2] ^ 1);
  EXPECT_TRUE(refusal(content_coding::zstd, body).starts_with("the zstd body is damaged"));
}

TEST(body_decoder, stops_a_bomb_at_the_bound) {
  std::string zeros(std::size_t{8} << 20, '\0');
  for (content_coding coding : {content_coding::gzip, content_coding::zstd}) {
    std::string bomb = coded(coding, zeros);
    EXPECT_LT(bomb.size(), 10'000u);
    EXPECT_EQ(refusal(coding, bomb, 100'000), "the body is longer than 100000 bytes once decoded: send it in parts");
    EXPECT_EQ(refusal(coding, bomb, zeros.size()), "");
  }
  EXPECT_EQ(refusal(content_coding::identity, "12345", 4),
            "the body is longer than 4 bytes once decoded: send it in parts");
}

TEST(body_decoder, refuses_a_zstd_window_beyond_8_mib) {
  EXPECT_EQ(refusal(content_coding::zstd, zstandard("small", 23)), "");
  EXPECT_NE(refusal(content_coding::zstd, zstandard("small", 24)).find("a window beyond 8 MiB"), std::string::npos);
}

// RFC 8878, 3.1.1.1.2: of 2 to the tenth and so many bytes as the first five bits say.
TEST(body_decoder, tells_what_it_holds_by_the_window_that_a_body_asks_for) {
  auto held_for = [](content_coding coding, std::string_view begun) {
    body_decoder decoder(coding);
    decoder.feed(begun);
    while (!decoder.next().empty()) {
    }
    return decoder.held_bytes();
  };
  const std::string frame_of_8_mib = {'\x28', '\xB5', '\x2F', '\xFD', '\0', 13 << 3, '\0'};
  const std::string frame_of_1_kib = {'\x28', '\xB5', '\x2F', '\xFD', '\0', 0 << 3, '\0'};
  EXPECT_GE(held_for(content_coding::zstd, frame_of_8_mib), std::size_t{8} << 20);
  EXPECT_LE(held_for(content_coding::zstd, frame_of_1_kib), std::size_t{1} << 20);
  EXPECT_GE(held_for(content_coding::gzip, gzipped("1").substr(0, 10)), std::size_t{32} << 10);
  EXPECT_EQ(held_for(content_coding::identity, "1"), 0u);
}

}  // namespace
}  // namespace penstock::ingest
