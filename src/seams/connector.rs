//! Connections for links: TCP with TCP_NODELAY, TLS verified against the built-in roots or those of
//! a PEM file.

use std::{
    collections::HashMap,
    io,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use actors::seams::{BoxFuture, Connector, Stream, Target, Tls};
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::roots;

/// A PEM file of roots, and the TLS configuration that trusts them.
type Clients = HashMap<Option<Arc<str>>, Arc<ClientConfig>>;

/// Connects over the network. Keeps one TLS configuration for each PEM file; their number is
/// limited by the configuration.
#[derive(Clone, Debug, Default)]
pub struct TcpConnector {
    clients: Arc<Mutex<Clients>>,
}

impl TcpConnector {
    fn client(&self, roots_file: Option<Arc<str>>) -> io::Result<Arc<ClientConfig>> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&roots_file) {
            return Ok(client.clone());
        }
        let mut store = RootCertStore::empty();
        match &roots_file {
            Some(path) => roots::add_file(&mut store, Path::new(&**path))?,
            None => store = roots::built_in(),
        }
        let client = Arc::new(roots::client(store));
        clients.insert(roots_file, client.clone());
        Ok(client)
    }
}

impl Connector for TcpConnector {
    fn connect(&self, target: Target) -> BoxFuture<'static, io::Result<Box<dyn Stream>>> {
        let connector = self.clone();
        Box::pin(async move {
            let tcp = TcpStream::connect((&*target.host, target.port)).await?;
            tcp.set_nodelay(true)?;
            let roots_file = match target.tls {
                Tls::Off => return Ok(Box::new(tcp) as Box<dyn Stream>),
                Tls::BuiltInRoots => None,
                Tls::Roots(file) => Some(file),
            };
            let client = connector.client(roots_file)?;
            let name = ServerName::try_from(target.host.to_string())
                .map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
            let tls = TlsConnector::from(client).connect(name, tcp).await?;
            Ok(Box::new(tls) as Box<dyn Stream>)
        })
    }
}
