//! Whom to trust: one configuration for all connections.

use std::{path::PathBuf, sync::Arc};

use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
};

use super::OutboundError;
use crate::address::Host;

/// Which servers' certificates are believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    /// PEM files whose certificates are trusted, instead of the system's. None: the system's.
    pub custom_ca_files: Vec<PathBuf>,
    /// Names whose certificates are not verified; `*` stands for any characters, `?` for one. `*` alone is every server.
    pub unverified: Vec<String>,
}

impl Trust {
    /// Whether this host's certificate is believed unseen.
    fn is_unverified(&self, host: &Host) -> bool {
        let host = host.to_string();
        self.unverified
            .iter()
            .any(|pattern| fits(pattern.to_ascii_lowercase().as_bytes(), host.as_bytes()))
    }
}

/// Whether a text fits a pattern with `*` and `?`. In time proportional to the product of their lengths, without recursion.
fn fits(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at_pattern, mut at_text) = (0, 0);
    // Where the last star is, and how far it reaches.
    let mut star: Option<(usize, usize)> = None;
    while at_text < text.len() {
        match pattern.get(at_pattern) {
            Some(b'*') => {
                star = Some((at_pattern, at_text));
                at_pattern += 1;
            }
            Some(&byte) if byte == b'?' || byte == text[at_text] => {
                at_pattern += 1;
                at_text += 1;
            }
            _ => {
                let Some((at_star, reached)) = star else { return false };
                star = Some((at_star, reached + 1));
                at_pattern = at_star + 1;
                at_text = reached + 1;
            }
        }
    }
    pattern[at_pattern..].iter().all(|byte| *byte == b'*')
}

/// The configurations of all connections of one client; trust roots are read and kept once.
#[derive(Clone)]
pub(super) struct Tls {
    verifying: Arc<ClientConfig>,
    /// With what [`Trust::unverified`] names.
    unverifying: Option<(Arc<ClientConfig>, Arc<Trust>)>,
}

impl Tls {
    /// The system's trust roots, and those of the given files.
    pub(super) fn web(extra_ca_files: &[PathBuf]) -> Result<Self, OutboundError> {
        let mut roots = system_roots();
        add_files(&mut roots, extra_ca_files)?;
        Ok(Self {
            verifying: Arc::new(verifying(roots)?),
            unverifying: None,
        })
    }

    /// What servers trust in each other.
    pub(super) fn federation(trust: &Trust) -> Result<Self, OutboundError> {
        let roots = if trust.custom_ca_files.is_empty() {
            system_roots()
        } else {
            let mut roots = RootCertStore::empty();
            add_files(&mut roots, &trust.custom_ca_files)?;
            roots
        };
        let unverifying = (!trust.unverified.is_empty()).then(unverifying).transpose()?;
        Ok(Self {
            verifying: Arc::new(verifying(roots)?),
            unverifying: unverifying.map(|config| (Arc::new(config), Arc::new(trust.clone()))),
        })
    }

    /// The configuration for a connection to this host.
    pub(super) fn config(&self, host: &Host) -> Arc<ClientConfig> {
        match &self.unverifying {
            Some((config, trust)) if trust.is_unverified(host) => Arc::clone(config),
            Some(_) | None => Arc::clone(&self.verifying),
        }
    }
}

fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    for error in &system.errors {
        tracing::warn!(%error, "a trusted certificate of the system cannot be read");
    }
    roots.add_parsable_certificates(system.certs);
    roots
}

fn add_files(roots: &mut RootCertStore, files: &[PathBuf]) -> Result<(), OutboundError> {
    for file in files {
        let refuse = |error: &dyn std::fmt::Display| OutboundError::Trust(format!("{}: {error}", file.display()));
        let certificates = CertificateDer::pem_file_iter(file).map_err(|error| refuse(&error))?;
        let before = roots.len();
        for certificate in certificates {
            let certificate = certificate.map_err(|error| refuse(&error))?;
            roots.add(certificate).map_err(|error| refuse(&error))?;
        }
        if roots.len() == before {
            return Err(refuse(&"no certificate in it"));
        }
    }
    Ok(())
}

fn verifying(roots: RootCertStore) -> Result<ClientConfig, OutboundError> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| OutboundError::Trust(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(speaking_http1(config))
}

fn unverifying() -> Result<ClientConfig, OutboundError> {
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| OutboundError::Trust(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        .with_no_client_auth();
    Ok(speaking_http1(config))
}

fn speaking_http1(mut config: ClientConfig) -> ClientConfig {
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config
}

/// Believes every certificate, but still that the other side has its key.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_name_hosts_whole() {
        for (pattern, host, expected) in [
            ("*", "anything.example", true),
            ("*.onion", "abc.onion", true),
            ("*.onion", "abc.onion.example", false),
            ("*.onion", "onion", false),
            ("a.example", "a.example", true),
            ("A.Example", "a.example", true),
            ("a.example", "aa.example", false),
            ("a?.*.example", "ab.c.d.example", true),
            ("a?.*.example", "a.c.example", false),
            ("127.0.0.*", "127.0.0.1", true),
            ("[::1]", "[::1]", true),
            ("*a*b*c", "xxaxxbxxbxxc", true),
            ("*a*b*c", "xxaxxbxx", false),
            ("", "a", false),
        ] {
            let trust = Trust {
                unverified: vec![pattern.to_owned()],
                ..Trust::default()
            };
            assert_eq!(trust.is_unverified(&Host::parse(host)), expected, "{pattern} {host}");
        }
    }

    #[test]
    fn a_file_without_certificates_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("ca.pem");
        std::fs::write(&file, "nothing\n").expect("written");
        let trust = Trust {
            custom_ca_files: vec![file.clone()],
            ..Trust::default()
        };
        let error = Tls::federation(&trust).err().expect("refused").to_string();
        assert!(error.contains("ca.pem"), "{error}");
        let missing = Trust {
            custom_ca_files: vec![folder.path().join("none")],
            ..Trust::default()
        };
        assert!(Tls::federation(&missing).is_err());
    }
}
