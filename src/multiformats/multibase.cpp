#include "multiformats/multibase.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>

namespace warren::multiformats {
namespace {

constexpr std::string_view kDigits16 = "0123456789abcdef";
constexpr std::string_view kDigits32 = "abcdefghijklmnopqrstuvwxyz234567";
constexpr std::string_view kDigits36 = "0123456789abcdefghijklmnopqrstuvwxyz";
constexpr std::string_view kDigits58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
constexpr std::string_view kDigits64 =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
constexpr std::uint8_t kNoDigit = 0xff;

// An alphabet with its inverse; `bits` is 0 when its size is no power of two.
struct Alphabet {
  std::string_view digits;
  unsigned bits;
  std::array<std::uint8_t, 256> values;

  constexpr Alphabet(std::string_view all, unsigned bits_per_digit)
      : digits(all), bits(bits_per_digit), values{} {
    values.fill(kNoDigit);
    for (std::size_t i = 0; i < all.size(); ++i) {
      values[static_cast<unsigned char>(all[i])] = static_cast<std::uint8_t>(i);
    }
  }
};

constexpr Alphabet kBase16Alphabet{kDigits16, 4};
constexpr Alphabet kBase32Alphabet{kDigits32, 5};
constexpr Alphabet kBase36Alphabet{kDigits36, 0};
constexpr Alphabet kBase58Alphabet{kDigits58, 0};
constexpr Alphabet kBase64Alphabet{kDigits64, 6};

const Alphabet& alphabet_of(Base base) {
  switch (base) {
    case Base::kBase16: return kBase16Alphabet;
    case Base::kBase32: return kBase32Alphabet;
    case Base::kBase36: return kBase36Alphabet;
    case Base::kBase58btc: return kBase58Alphabet;
    case Base::kBase64url: return kBase64Alphabet;
  }
  return kBase16Alphabet;
}

std::string encode_bits(const Alphabet& alphabet, BytesView bytes) {
  std::string text;
  text.reserve((bytes.size() * 8 + alphabet.bits - 1) / alphabet.bits);
  std::uint32_t held = 0;  // Never more than 7 + 8 bits.
  unsigned held_bits = 0;
  for (const std::uint8_t byte : bytes) {
    held = held << 8 | byte;
    held_bits += 8;
    while (held_bits >= alphabet.bits) {
      held_bits -= alphabet.bits;
      text += alphabet.digits[held >> held_bits];
      held &= (1u << held_bits) - 1;
    }
  }
  if (held_bits > 0) text += alphabet.digits[held << (alphabet.bits - held_bits)];
  return text;
}

Result<Bytes> decode_bits(const Alphabet& alphabet, std::string_view text) {
  Bytes bytes;
  bytes.reserve(text.size() * alphabet.bits / 8);
  std::uint32_t held = 0;
  unsigned held_bits = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const std::uint8_t value = alphabet.values[static_cast<unsigned char>(text[i])];
    if (value == kNoDigit) {
      return fail(ErrorCode::kInvalidArgument, fmt::format("character {} is not a digit of base {}",
                                                           i + 1, alphabet.digits.size()));
    }
    held = held << alphabet.bits | value;
    held_bits += alphabet.bits;
    if (held_bits >= 8) {
      held_bits -= 8;
      bytes.push_back(static_cast<std::uint8_t>(held >> held_bits));
      held &= (1u << held_bits) - 1;
    }
  }
  // A whole spare digit, or spare bits that are not zero, would give one value two texts.
  if (held_bits >= alphabet.bits || held != 0) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{} digits of base {} do not end on a whole byte", text.size(),
                            alphabet.digits.size()));
  }
  return bytes;
}

// Rewrites a big-endian number from base `from` to base `to`. Leading zero digits are kept apart:
// each stands for one leading zero digit of the result.
Bytes convert(BytesView digits, std::uint32_t from, std::uint32_t to) {
  const auto first = std::ranges::find_if(digits, [](std::uint8_t digit) { return digit != 0; });
  const auto zeros = static_cast<std::size_t>(first - digits.begin());
  Bytes reversed;
  for (const std::uint8_t digit : digits.subspan(zeros)) {
    std::uint32_t carry = digit;
    for (std::uint8_t& place : reversed) {
      carry += place * from;
      place = static_cast<std::uint8_t>(carry % to);
      carry /= to;
    }
    for (; carry > 0; carry /= to) reversed.push_back(static_cast<std::uint8_t>(carry % to));
  }
  Bytes result(zeros, 0);
  result.insert(result.end(), reversed.rbegin(), reversed.rend());
  return result;
}

std::string encode_number(const Alphabet& alphabet, BytesView bytes) {
  const Bytes digits = convert(bytes, 256, static_cast<std::uint32_t>(alphabet.digits.size()));
  std::string text;
  text.reserve(digits.size());
  for (const std::uint8_t digit : digits) text += alphabet.digits[digit];
  return text;
}

Result<Bytes> decode_number(const Alphabet& alphabet, std::string_view text) {
  Bytes digits;
  digits.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const std::uint8_t value = alphabet.values[static_cast<unsigned char>(text[i])];
    if (value == kNoDigit) {
      return fail(ErrorCode::kInvalidArgument, fmt::format("character {} is not a digit of base {}",
                                                           i + 1, alphabet.digits.size()));
    }
    digits.push_back(value);
  }
  return convert(digits, static_cast<std::uint32_t>(alphabet.digits.size()), 256);
}

bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
char to_lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

}  // namespace

std::string encode_bare(Base base, BytesView bytes) {
  const Alphabet& alphabet = alphabet_of(base);
  return alphabet.bits > 0 ? encode_bits(alphabet, bytes) : encode_number(alphabet, bytes);
}

Result<Bytes> decode_bare(Base base, std::string_view text) {
  const Alphabet& alphabet = alphabet_of(base);
  const std::size_t text_max = alphabet.bits > 0 ? kBaseTextMax : kBaseTextSquareMax;
  if (text.size() > text_max) {
    return fail(ErrorCode::kTooLarge, fmt::format("{} characters of base {}; {} is the most",
                                                  text.size(), alphabet.digits.size(), text_max));
  }
  return alphabet.bits > 0 ? decode_bits(alphabet, text) : decode_number(alphabet, text);
}

std::string encode_multibase(Base base, BytesView bytes) {
  return static_cast<char>(base) + encode_bare(base, bytes);
}

Result<Bytes> decode_multibase(std::string_view text) {
  if (text.empty()) return fail(ErrorCode::kInvalidArgument, "a multibase text is empty");
  const std::string_view rest = text.substr(1);
  switch (text.front()) {
    case 'f': return decode_bare(Base::kBase16, rest);
    case 'b': return decode_bare(Base::kBase32, rest);
    case 'k': return decode_bare(Base::kBase36, rest);
    case 'z': return decode_bare(Base::kBase58btc, rest);
    case 'u': return decode_bare(Base::kBase64url, rest);
    case 'F':
    case 'B':
    case 'K': {
      if (rest.size() > kBaseTextMax) {
        return fail(ErrorCode::kTooLarge, fmt::format("a multibase text of {} characters; {} is "
                                                      "the most",
                                                      rest.size(), kBaseTextMax));
      }
      if (std::ranges::any_of(rest, is_lower)) {
        return fail(ErrorCode::kInvalidArgument,
                    "a lower-case letter in an upper-case multibase text");
      }
      std::string lower(rest);
      std::ranges::transform(lower, lower.begin(), to_lower);
      return decode_bare(static_cast<Base>(to_lower(text.front())), lower);
    }
    default:
      return fail(ErrorCode::kUnsupported,
                  fmt::format("multibase prefix 0x{:02x} is not one of b, f, k, u, z",
                              static_cast<unsigned char>(text.front())));
  }
}

}  // namespace warren::multiformats
