#pragma once
// An authority for tests, and certificates of servers with names that it signs.

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <string>

#include "security/tls/test_certificates.hpp"

namespace warren::security {

inline void add_extension(X509* certificate, int nid, const char* value) {
  const ExtensionHandle extension(::X509V3_EXT_conf_nid(nullptr, nullptr, nid, value));
  WARREN_CHECK(extension != nullptr && ::X509_add_ext(certificate, extension.get(), -1) == 1);
}

inline void set_name(X509_NAME* name, const char* text) {
  ::X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>(text), -1, -1, 0);
}

/// An authority, and servers' certificates that it signs.
struct Authority {
  Recipe own;
  Bytes der;

  /// Valid around `now`, as are the certificates of its servers.
  explicit Authority(WallTime now = kNow) {
    own.from = now - kYear;
    own.to = now + kYear;
    own.extensions = [](X509* certificate, EVP_PKEY*) {
      set_name(::X509_get_subject_name(certificate), "authority");
      set_name(::X509_get_issuer_name(certificate), "authority");
      add_extension(certificate, NID_basic_constraints, "critical,CA:TRUE");
      add_extension(certificate, NID_key_usage, "critical,keyCertSign");
    };
    der = own.make();
  }

  std::string pem() const {
    const std::uint8_t* at = der.data();
    const CertificateHandle certificate(::d2i_X509(nullptr, &at, static_cast<long>(der.size())));
    const crypto::BioHandle bio(::BIO_new(::BIO_s_mem()));
    ::PEM_write_bio_X509(bio.get(), certificate.get());
    std::string text(static_cast<std::size_t>(::BIO_ctrl_pending(bio.get())), '\0');
    ::BIO_read(bio.get(), text.data(), static_cast<int>(text.size()));
    return text;
  }

  /// Null: none.
  Recipe server(const char* alternative_names) const {
    Recipe recipe;
    recipe.signer = own.key.get();
    recipe.from = own.from;
    recipe.to = own.to;
    recipe.extensions = [alternative_names](X509* certificate, EVP_PKEY*) {
      set_name(::X509_get_subject_name(certificate), "subject.example");
      set_name(::X509_get_issuer_name(certificate), "authority");
      if (alternative_names == nullptr) return;
      add_extension(certificate, NID_subject_alt_name, alternative_names);
    };
    return recipe;
  }
};

}  // namespace warren::security
