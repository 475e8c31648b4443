//! TLS with libpq's meanings of `sslmode`, by rustls.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::connection_string::{Parameters, invalid};
use crate::domain::{Exit, Problem};

/// What `sslmode` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TlsMode {
    /// Never.
    Disable,
    /// Only if the server refuses without.
    Allow,
    /// If the server can.
    Prefer,
    /// Always, whoever answers.
    Require,
    /// Always, and the certificate must come from a trusted authority.
    VerifyCa,
    /// Always, and the certificate must be for the host that was asked for.
    VerifyFull,
}

/// The TLS part of the connection settings.
#[derive(Clone, Debug)]
pub(super) struct TlsSettings {
    mode: TlsMode,
    /// A file of trusted authorities; `None` trusts the system's.
    roots: Option<PathBuf>,
    /// The client's certificate chain and key.
    identity: Option<(PathBuf, PathBuf)>,
    only_tls13: bool,
    direct: bool,
}

impl TlsSettings {
    pub(super) fn resolve(parameters: &Parameters, home: Option<&Path>) -> Result<Self, Problem> {
        let get = |key: &str| parameters.get(key).map(String::as_str);
        let usual = |name: &str| {
            home.map(|home| home.join(".postgresql").join(name))
                .filter(|path| path.is_file())
        };
        let system_roots = get("sslrootcert") == Some("system");
        let roots = match get("sslrootcert") {
            Some("system") => None,
            Some(path) => Some(PathBuf::from(path)),
            None => usual("root.crt"),
        };
        let mode = match get("sslmode") {
            None if system_roots => TlsMode::VerifyFull,
            None | Some("prefer") => TlsMode::Prefer,
            Some("disable") => TlsMode::Disable,
            Some("allow") => TlsMode::Allow,
            // As in libpq: whoever has a file of authorities wants it used.
            Some("require") if roots.as_ref().is_some_and(|path| path.is_file()) => TlsMode::VerifyCa,
            Some("require") => TlsMode::Require,
            Some("verify-ca") => TlsMode::VerifyCa,
            Some("verify-full") => TlsMode::VerifyFull,
            Some(_) => {
                return Err(invalid(
                    "sslmode must be disable, allow, prefer, require, verify-ca or verify-full",
                ));
            }
        };
        if system_roots && mode != TlsMode::VerifyFull {
            return Err(invalid("sslrootcert=system needs sslmode=verify-full"));
        }
        let only_tls13 = match get("ssl_min_protocol_version") {
            None | Some("TLSv1" | "TLSv1.1" | "TLSv1.2") => false,
            Some("TLSv1.3") => true,
            Some(_) => return Err(invalid("ssl_min_protocol_version must be TLSv1.2 or TLSv1.3")),
        };
        let certificate = get("sslcert")
            .map(PathBuf::from)
            .or_else(|| usual("postgresql.crt"));
        let key = get("sslkey")
            .map(PathBuf::from)
            .or_else(|| usual("postgresql.key"));
        Ok(Self {
            mode,
            roots,
            identity: certificate.zip(key),
            only_tls13,
            direct: get("sslnegotiation") == Some("direct"),
        })
    }

    pub(super) fn mode(&self) -> TlsMode {
        self.mode
    }

    /// What makes TLS connections in `mode`.
    ///
    /// # Errors
    /// A certificate file cannot be used; there are no authorities to trust.
    pub(super) fn connector(&self, mode: TlsMode) -> Result<MakeRustlsConnect, Problem> {
        let provider = Arc::new(ring::default_provider());
        let versions: &[&rustls::SupportedProtocolVersion] = if self.only_tls13 {
            &[&rustls::version::TLS13]
        } else {
            rustls::ALL_VERSIONS
        };
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)
            .map_err(|error| tls_problem(format!("TLS cannot be set up: {error}")))?;
        let builder = match mode {
            TlsMode::VerifyFull => builder.with_root_certificates(self.trusted()?),
            TlsMode::VerifyCa => {
                let verifier =
                    WebPkiServerVerifier::builder_with_provider(Arc::new(self.trusted()?), provider)
                        .build()
                        .map_err(|error| tls_problem(format!("no authority to trust: {error}")))?;
                builder
                    .dangerous()
                    .with_custom_certificate_verifier(Arc::new(AnyHost(verifier)))
            }
            TlsMode::Disable | TlsMode::Allow | TlsMode::Prefer | TlsMode::Require => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider))),
        };
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = certificates(certificate)?;
                let key = PrivateKeyDer::from_pem_file(key)
                    .map_err(|error| unreadable("client key", key, &error))?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(|error| tls_problem(format!("the client certificate cannot be used: {error}")))?
            }
        };
        if self.direct {
            config.alpn_protocols = vec![b"postgresql".to_vec()];
        }
        Ok(MakeRustlsConnect::new(config))
    }

    fn trusted(&self) -> Result<RootCertStore, Problem> {
        let mut store = RootCertStore::empty();
        let found = match &self.roots {
            Some(path) => certificates(path)?,
            None => rustls_native_certs::load_native_certs().certs,
        };
        store.add_parsable_certificates(found);
        if store.is_empty() {
            return Err(tls_problem("there are no certificate authorities to trust".to_owned())
                .fix("set sslrootcert (or PGSSLROOTCERT) to a file with the authority's certificate, or install ca-certificates"));
        }
        Ok(store)
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Problem> {
    CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| unreadable("certificate file", path, &error))
}

fn unreadable(what: &str, path: &Path, error: &rustls_pki_types::pem::Error) -> Problem {
    let error = match error {
        rustls_pki_types::pem::Error::Io(error) => error.to_string(),
        other => other.to_string(),
    };
    tls_problem(format!("the {what} {} cannot be used: {error}", path.display()))
}

fn tls_problem(message: String) -> Problem {
    Problem::new(Exit::Usage, "database-tls", message)
}

/// Checks the chain but not the host name (`verify-ca`).
#[derive(Debug)]
struct AnyHost(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AnyHost {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        // The chain is checked before the name, so that an error about the name means that the chain is good.
        match self
            .0
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
        {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// Encrypts to whoever answers (`require` and below, as libpq means them).
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
