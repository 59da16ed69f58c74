//! The address of the server, and connections to it.
//!
//! The sockets are opened here instead of by the client library, so that [`BoundedReplies`] can filter what they
//! receive.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::{AsyncStream, MultiplexedConnection, PubSub};
use redis::{
    AsyncConnectionConfig, ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _, RedisConnectionInfo,
    RedisResult,
};
use secrecy::ExposeSecret as _;
use std::io;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::super::settings::ReplicaSettings;
use super::bounded_replies::{BoundedReplies, MESSAGE_BYTES_MAX, VALUE_BYTES_MAX};

/// Reason why the settings are invalid. Does not quote them, because a URL can contain a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RedisSettingsError {
    /// The URL is not a Redis URL.
    #[error("the URL is not a Redis URL")]
    Url,
    /// The certificate file cannot be read, or contains no certificate.
    #[error("the certificate file cannot be read or contains no certificate")]
    Certificates,
}

/// A server, by its settings.
#[derive(Clone)]
pub(super) struct Server {
    host: String,
    port: u16,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    credentials: RedisConnectionInfo,
}

type Socket = Box<dyn AsyncStream + Send + Unpin>;

impl Server {
    /// Reads the settings; the server need not be reachable.
    ///
    /// # Errors
    /// If the URL or the certificate file is invalid.
    pub(super) fn new(settings: &ReplicaSettings) -> Result<Self, RedisSettingsError> {
        let info: ConnectionInfo =
            settings.url.as_str().into_connection_info().map_err(|_| RedisSettingsError::Url)?;
        let mut credentials =
            info.redis_settings().clone().set_lib_name(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
        let password = settings.password.expose_secret();
        if !password.is_empty() {
            credentials = credentials.set_password(password);
        }
        if !settings.username.is_empty() {
            credentials = credentials.set_username(&settings.username);
        }
        match info.addr().clone() {
            ConnectionAddr::Tcp(host, port) if settings.ca_file.is_empty() => {
                Ok(Self { host, port, tls: None, credentials })
            }
            ConnectionAddr::TcpTls { host, port, insecure: false, .. } => {
                let name = ServerName::try_from(host.clone()).map_err(|_| RedisSettingsError::Url)?;
                let tls = Some((TlsConnector::from(Arc::new(tls_config(settings)?)), name));
                Ok(Self { host, port, tls, credentials })
            }
            _ => Err(RedisSettingsError::Url),
        }
    }

    /// Whether connections use TLS.
    pub(super) fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Opens a TCP connection.
    pub(super) async fn connect_tcp(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// Opens a connection for commands within a timeout, which also applies to each of its responses.
    pub(super) async fn connect(&self, at_most: Duration) -> RedisResult<MultiplexedConnection> {
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(at_most));
        let connecting = async {
            let replies = BoundedReplies::new(self.socket().await?, VALUE_BYTES_MAX);
            MultiplexedConnection::new_with_config(&self.credentials, replies, config).await
        };
        let (connection, driver) =
            timeout(at_most, connecting).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        // Ends when the last clone of the connection is dropped.
        tokio::spawn(driver);
        Ok(connection)
    }

    /// Opens a connection for a subscription.
    pub(super) async fn connect_subscription(&self) -> RedisResult<PubSub> {
        PubSub::new(&self.credentials, BoundedReplies::new(self.socket().await?, MESSAGE_BYTES_MAX)).await
    }

    async fn socket(&self) -> io::Result<Socket> {
        let stream = self.connect_tcp().await?;
        match &self.tls {
            None => Ok(Box::new(stream)),
            Some((tls, name)) => Ok(Box::new(tls.connect(name.clone(), stream).await?)),
        }
    }
}

/// Returns a TLS configuration that trusts the certificates of the file, or the system's if no file is set.
fn tls_config(settings: &ReplicaSettings) -> Result<ClientConfig, RedisSettingsError> {
    let mut roots = RootCertStore::empty();
    if settings.ca_file.is_empty() {
        // If the system has none, the handshake fails as with an untrusted server.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    } else {
        let pem = fs::read(&settings.ca_file).map_err(|_| RedisSettingsError::Certificates)?;
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let certificate = certificate.map_err(|_| RedisSettingsError::Certificates)?;
            roots.add(certificate).map_err(|_| RedisSettingsError::Certificates)?;
        }
        if roots.is_empty() {
            return Err(RedisSettingsError::Certificates);
        }
    }
    Ok(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
}
