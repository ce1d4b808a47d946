//! Root certificates to trust: the built-in ones, or those of a PEM file.

use std::{io, path::Path};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

/// Adds the certificates of a PEM file to a store.
pub(super) fn add_file(store: &mut RootCertStore, path: &Path) -> io::Result<()> {
    let wrong = |why: String| {
        io::Error::new(io::ErrorKind::InvalidInput, format!("root certificates {}: {why}", path.display()))
    };
    let mut any = false;
    for certificate in CertificateDer::pem_file_iter(path).map_err(|e| wrong(e.to_string()))? {
        let certificate = certificate.map_err(|e| wrong(e.to_string()))?;
        store.add(certificate).map_err(|e| wrong(e.to_string()))?;
        any = true;
    }
    if any { Ok(()) } else { Err(wrong("it contains no certificate".into())) }
}

/// Returns the built-in roots.
pub(super) fn built_in() -> RootCertStore {
    RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() }
}

/// Returns a TLS configuration that verifies against a store.
pub(super) fn client(store: RootCertStore) -> ClientConfig {
    ClientConfig::builder().with_root_certificates(store).with_no_client_auth()
}
