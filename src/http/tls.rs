//! The TLS side of the listeners: `config/pem.rs` reads the certificates.

use std::{io, sync::Arc};

use tokio_rustls::TlsAcceptor;

use crate::config::{Tls, pem};

/// Returns the acceptor for TLS connections.
///
/// # Errors
/// The certificate or key cannot be used; the text names the key of `tls` and the file.
pub fn acceptor(tls: &Tls) -> io::Result<TlsAcceptor> {
    let config = pem::server(tls).map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
