//! Certificates of the listeners: PEM files, or one generated at start.

use std::{io, path::Path, sync::Arc};

use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject},
};
use tokio_rustls::TlsAcceptor;

use crate::config::Tls;

/// Returns the acceptor for TLS connections.
///
/// # Errors
/// The certificate or key cannot be used; the text names the file.
pub fn acceptor(tls: &Tls) -> io::Result<TlsAcceptor> {
    let (chain, key) = match tls {
        Tls::Files { cert, key } => (chain(cert)?, private_key(key)?),
        Tls::SelfSigned => generated()?,
    };
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|e| invalid(format!("the certificate and its key cannot be used: {e}")))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn chain(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let wrong = |why: &dyn std::fmt::Display| invalid(format!("the certificate {}: {why}", path.display()));
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).map_err(|e| wrong(&e))?.collect();
    let chain = chain.map_err(|e| wrong(&e))?;
    if chain.is_empty() { Err(wrong(&"it contains no certificate")) } else { Ok(chain) }
}

fn private_key(path: &Path) -> io::Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_file(path)
        .map_err(|e| invalid(format!("the private key {}: {e}", path.display())))
}

fn generated() -> io::Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
    let names = vec!["localhost".into(), "127.0.0.1".into(), "::1".into()];
    let made = rcgen::generate_simple_self_signed(names).map_err(io::Error::other)?;
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    Ok((vec![made.cert.der().clone()], key.into()))
}

fn invalid(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}
