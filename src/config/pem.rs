//! Certificates and keys of the listeners, and roots to trust, in PEM files. Read when the
//! configuration is checked, so that a mistake names the file, the line and the key, and again at
//! the start.

use std::path::Path;

use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem, pem::PemObject},
};

use super::Tls;

/// A certificate or private key that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{key}: {problem}")]
pub struct TlsProblem {
    /// The key of the table `tls`.
    pub key: &'static str,
    /// The trouble with the file, and the fix.
    pub problem: String,
}

/// Returns the TLS configuration of a listener.
///
/// # Errors
/// The certificate or key cannot be used; names the key and the file.
pub fn server(tls: &Tls) -> Result<ServerConfig, TlsProblem> {
    let (chain, private) = match tls {
        Tls::Files { cert, key } => (certificates("cert", cert)?, private_key(key)?),
        Tls::SelfSigned => generated()?,
    };
    ServerConfig::builder().with_no_client_auth().with_single_cert(chain, private).map_err(|e| TlsProblem {
        key: "key",
        problem: format!("does not fit the certificate in cert: {e}; name the key it was made with"),
    })
}

/// Reads the certificates of a file.
///
/// # Errors
/// The file cannot be read or has none.
pub fn certificates(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsProblem> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        Ok(_) => {
            Err(unusable(key, path, "certificate", "-----BEGIN CERTIFICATE-----", &pem::Error::NoItemsFound))
        }
        Err(why) => Err(unusable(key, path, "certificate", "-----BEGIN CERTIFICATE-----", &why)),
    }
}

/// Checks that a file has root certificates, and that each can be used.
///
/// # Errors
/// The file cannot be read, has none, or one of them is damaged.
pub fn check_roots(key: &'static str, path: &Path) -> Result<(), TlsProblem> {
    let mut store = RootCertStore::empty();
    for (certificate, number) in certificates(key, path)?.into_iter().zip(1..) {
        store.add(certificate).map_err(|why| TlsProblem {
            key,
            problem: format!(
                "certificate {number} in the file {} cannot be used: {why}; replace it or remove it",
                path.display()
            ),
        })?;
    }
    Ok(())
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsProblem> {
    PrivateKeyDer::from_pem_file(path)
        .map_err(|why| unusable("key", path, "private key", "-----BEGIN PRIVATE KEY-----", &why))
}

fn unusable(key: &'static str, path: &Path, what: &str, begins: &str, why: &pem::Error) -> TlsProblem {
    let file = path.display();
    let problem = match why {
        pem::Error::Io(why) if why.kind() == std::io::ErrorKind::NotFound => {
            format!("the file {file} does not exist; name the PEM file of the {what}")
        }
        pem::Error::Io(why) => format!("the file {file} cannot be read: {why}; let this user read it"),
        pem::Error::NoItemsFound => {
            format!("the file {file} has no {what}; expected a PEM file with {begins:?}")
        }
        why => format!("the file {file} is damaged: {why}; expected a PEM file with {begins:?}"),
    };
    TlsProblem { key, problem }
}

fn generated() -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsProblem> {
    let names = vec!["localhost".into(), "127.0.0.1".into(), "::1".into()];
    let made = rcgen::generate_simple_self_signed(names);
    let made = made.map_err(|e| TlsProblem { key: "self_signed", problem: e.to_string() })?;
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    Ok((vec![made.cert.der().clone()], key.into()))
}
