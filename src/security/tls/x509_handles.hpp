#pragma once
// Owners for OpenSSL's X.509 objects. Only .cpp files include it.

#include <openssl/x509.h>

#include <cstdint>
#include <string_view>

#include "crypto/openssl_handles.hpp"

namespace warren::security {

using CertificateHandle = std::unique_ptr<X509, crypto::OpensslFree<X509_free>>;
using ExtensionHandle = std::unique_ptr<X509_EXTENSION, crypto::OpensslFree<X509_EXTENSION_free>>;
using ObjectHandle = std::unique_ptr<ASN1_OBJECT, crypto::OpensslFree<ASN1_OBJECT_free>>;
using OctetsHandle =
    std::unique_ptr<ASN1_OCTET_STRING, crypto::OpensslFree<ASN1_OCTET_STRING_free>>;
using Pkcs8Handle =
    std::unique_ptr<PKCS8_PRIV_KEY_INFO, crypto::OpensslFree<PKCS8_PRIV_KEY_INFO_free>>;

/// The libp2p Public Key Extension. Source: libp2p specs, tls/tls.md.
inline constexpr const char* kExtensionOid = "1.3.6.1.4.1.53594.1.1";
/// Stands before the certificate's SubjectPublicKeyInfo in what the identity key signs.
inline constexpr std::string_view kSigningPrefix = "libp2p-tls-handshake:";

}  // namespace warren::security
