//! The certificate of the TLS listener, read again while the process runs.

use std::{path::PathBuf, sync::Arc};

use arc_swap::ArcSwap;
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use crate::{config::Config, error::RunError};

/// The certificate in use. New connections get the one that was read last.
#[derive(Debug)]
pub(crate) struct Certificate {
    chain_file: PathBuf,
    key_file: PathBuf,
    current: ArcSwap<CertifiedKey>,
}

impl Certificate {
    /// Reads the files that the configuration names.
    pub(crate) fn read(config: &Config) -> Result<Arc<Self>, RunError> {
        let (certificate_file, key_file) = (&config.listen.tls_certificate_file, &config.listen.tls_key_file);
        let current = read(certificate_file, key_file).map_err(RunError::Tls)?;
        Ok(Arc::new(Self {
            chain_file: certificate_file.clone(),
            key_file: key_file.clone(),
            current: ArcSwap::from_pointee(current),
        }))
    }

    /// Reads the files again. If they are not right, the certificate stays what it is.
    pub(crate) fn reload(&self) -> Result<(), String> {
        let read = read(&self.chain_file, &self.key_file)?;
        self.current.store(Arc::new(read));
        Ok(())
    }

    /// How connections are encrypted.
    pub(crate) fn server_config(self: &Arc<Self>) -> Result<ServerConfig, RunError> {
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| RunError::Tls(error.to_string()))?;
        let certificate: Arc<Self> = Arc::clone(self);
        Ok(builder.with_no_client_auth().with_cert_resolver(certificate))
    }
}

impl ResolvesServerCert for Certificate {
    /// There is one, for every name and for none.
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

fn read(certificate_file: &PathBuf, key_file: &PathBuf) -> Result<CertifiedKey, String> {
    let refuse = |file: &PathBuf, error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let certificates = CertificateDer::pem_file_iter(certificate_file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| refuse(certificate_file, &error))?;
    if certificates.is_empty() {
        return Err(refuse(certificate_file, &"no certificate in it"));
    }
    let key = PrivateKeyDer::from_pem_file(key_file).map_err(|error| refuse(key_file, &error))?;
    // Says also whether key and certificate belong together.
    CertifiedKey::from_der(certificates, key, &ring::default_provider())
        .map_err(|error| refuse(certificate_file, &error))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn write(folder: &Path, name: &str) {
        let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).expect("a certificate");
        std::fs::write(folder.join("cert.pem"), made.cert.pem()).expect("written");
        std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).expect("written");
    }

    fn config(folder: &Path) -> Config {
        let mut config = Config::default();
        config.listen.tls_certificate_file = folder.join("cert.pem");
        config.listen.tls_key_file = folder.join("key.pem");
        config
    }

    #[test]
    fn a_certificate_is_read_again_and_kept_when_the_new_one_is_wrong() {
        let folder = tempfile::tempdir().expect("a folder");
        write(folder.path(), "a.example");
        let certificate = Certificate::read(&config(folder.path())).expect("right");
        let current = || certificate.current.load().cert[0].to_vec();
        let first = current();
        write(folder.path(), "b.example");
        certificate.reload().expect("right");
        let second = current();
        assert_ne!(first, second);
        std::fs::write(folder.path().join("cert.pem"), "").expect("written");
        let error = certificate.reload().expect_err("empty");
        assert!(error.contains("cert.pem"), "{error}");
        std::fs::write(folder.path().join("key.pem"), "").expect("written");
        certificate.reload().expect_err("no key");
        assert_eq!(current(), second);
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        write(folder.path(), "a.example");
        let certificate = std::fs::read(folder.path().join("cert.pem")).expect("there");
        write(folder.path(), "b.example");
        std::fs::write(folder.path().join("cert.pem"), certificate).expect("written");
        let refused = Certificate::read(&config(folder.path()))
            .expect_err("refused")
            .to_string();
        assert!(refused.starts_with("listen.tls_certificate_file"), "{refused}");
    }
}
