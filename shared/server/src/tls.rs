use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::extract::Request;
use axum::http::HeaderValue;
use axum::middleware::map_request;
use axum::serve::Listener;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig};
use tokio_rustls::server::TlsStream;

use crate::machine::addresses;

/// The longest a TLS handshake may take.
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(10);
/// Handshakes at once; further connections wait.
const HANDSHAKES: usize = 512;
/// The largest head of a plain HTTP request that is read, in bytes.
const HEAD_LIMIT: usize = 8 << 10;
/// How long a self-signed certificate is valid. Apple's devices accept at most 825 days.
const VALID_FOR: Duration = Duration::from_secs(800 * 24 * 3600);
/// The age after which a start makes a new one.
const RENEWED_AFTER: Duration = Duration::from_secs(365 * 24 * 3600);

/// Why a server has no certificate to serve with.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or is not PEM.
    #[error("{} cannot be read as PEM", .file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        #[source]
        cause: pem::Error,
    },
    /// A file holds no certificate.
    #[error("{} holds no certificate", .file.display())]
    NoCertificate {
        /// The file.
        file: PathBuf,
    },
    /// The key is not that of the certificate, or is of an unsupported kind.
    #[error("{} and {} cannot be used together", .cert.display(), .key.display())]
    Mismatch {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What is wrong with them.
        #[source]
        cause: rustls::Error,
    },
    /// A self-signed certificate cannot be made or written.
    #[error("cannot keep a certificate in {}", .file.display())]
    NotKept {
        /// The file.
        file: PathBuf,
        /// Why not.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// A certificate and its key.
pub struct Identity {
    acceptor: TlsAcceptor,
    description: String,
}

impl Identity {
    /// Returns the certificate chain in the PEM file `cert` with the key in the PEM file `key`.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn load(cert: &Path, key: &Path) -> Result<Self, TlsError> {
        let unreadable = |file: &Path| {
            let file = file.to_owned();
            move |cause| TlsError::Unreadable { file, cause }
        };
        let chain = CertificateDer::pem_file_iter(cert).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let chain = chain.map_err(unreadable(cert))?;
        let first = chain.first().ok_or_else(|| TlsError::NoCertificate { file: cert.to_owned() })?;
        let digest: Vec<String> = Sha256::digest(first).iter().map(|byte| format!("{byte:02X}")).collect();
        let description = format!("{} (SHA-256 {})", cert.display(), digest.join(":"));
        let private = PrivateKeyDer::from_pem_file(key).map_err(unreadable(key))?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|config| config.with_no_client_auth().with_single_cert(chain, private))
            .map_err(|cause| TlsError::Mismatch { cert: cert.to_owned(), key: key.to_owned(), cause })?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), description })
    }

    /// Returns the self-signed certificate in `file`, for this machine's names and addresses. Makes one if there is none or
    /// if it is older than a year. Only the file's owner can read it.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn self_signed(file: &Path) -> Result<Self, TlsError> {
        if !is_young(file) {
            make_self_signed(file).map_err(|cause| TlsError::NotKept { file: file.to_owned(), cause })?;
        }
        Self::load(file, file)
    }

    /// Returns the certificate's file and its SHA-256 as browsers show it.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.description
    }
}

fn is_young(file: &Path) -> bool {
    let age = fs::metadata(file).and_then(|data| data.modified()).map(|made| made.elapsed().unwrap_or_default());
    age.is_ok_and(|age| age < RENEWED_AFTER)
}

/// Writes a new certificate for this machine's names and addresses. Certificate and key are one file, so that they always
/// belong together.
fn make_self_signed(file: &Path) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let names = ["localhost".to_owned(), Ipv4Addr::LOCALHOST.to_string(), Ipv6Addr::LOCALHOST.to_string()];
    let names = names.into_iter().chain(addresses().iter().map(IpAddr::to_string)).collect::<Vec<_>>();
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, "Attendance");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    // A device whose clock is slow accepts it too.
    params.not_before = (SystemTime::now() - Duration::from_secs(24 * 3600)).into();
    params.not_after = (SystemTime::now() + VALID_FOR).into();
    let key = KeyPair::generate()?;
    let cert = params.self_signed(&key)?;
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let partial = file.with_extension("partial");
    let _ = fs::remove_file(&partial);
    let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial)?;
    out.write_all(cert.pem().as_bytes())?;
    out.write_all(key.serialize_pem().as_bytes())?;
    out.sync_all()?;
    Ok(fs::rename(&partial, file)?)
}

/// Returns the router as it is behind TLS: the addresses that it gives for itself have the secure scheme.
pub(crate) fn secured(app: Router) -> Router {
    app.layer(map_request(async |mut request: Request| {
        request.headers_mut().insert("x-forwarded-proto", HeaderValue::from_static("https"));
        request
    }))
}

/// Accepts TLS connections. A client with a slow handshake holds up nobody, and one that speaks plain HTTP is redirected to
/// the secure address.
pub(crate) struct TlsListener {
    tcp: TcpListener,
    acceptor: TlsAcceptor,
    handshakes: JoinSet<Option<(TlsStream<TcpStream>, SocketAddr)>>,
}

impl TlsListener {
    pub(crate) fn new(tcp: TcpListener, identity: Identity) -> Self {
        Self { tcp, acceptor: identity.acceptor, handshakes: JoinSet::new() }
    }
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            tokio::select! {
                (tcp, addr) = Listener::accept(&mut self.tcp), if self.handshakes.len() < HANDSHAKES => {
                    let acceptor = self.acceptor.clone();
                    self.handshakes.spawn(async move {
                        let stream = timeout(HANDSHAKE_PATIENCE, shake_hands(tcp, acceptor)).await.ok()??;
                        Some((stream, addr))
                    });
                }
                Some(agreed) = self.handshakes.join_next() => {
                    if let Ok(Some(connection)) = agreed {
                        return connection;
                    }
                }
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

/// Returns the connection after its handshake, or `None` if there is none.
async fn shake_hands(mut tcp: TcpStream, acceptor: TlsAcceptor) -> Option<TlsStream<TcpStream>> {
    let mut first = [0];
    if tcp.peek(&mut first).await.ok()? == 0 {
        return None;
    }
    // TLS begins with the byte 22, a plain request with its method.
    if first[0].is_ascii_uppercase() {
        let _ = redirect(&mut tcp).await;
        return None;
    }
    acceptor.accept(tcp).await.inspect_err(|error| tracing::debug!(%error, "a TLS handshake failed")).ok()
}

/// Answers a plain HTTP request with a redirect to the secure address.
async fn redirect(tcp: &mut TcpStream) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") && head.len() < HEAD_LIMIT {
        if tcp.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let (status, location) = match secure_address(&String::from_utf8_lossy(&head)) {
        // Not a permanent redirect: the server may start without TLS another time.
        Some(address) => ("307 Temporary Redirect", format!("location: {address}\r\n")),
        None => ("400 Bad Request", String::new()),
    };
    let body = "this address speaks HTTPS; begin it with https://\n";
    let answer = format!(
        "HTTP/1.1 {status}\r\n{location}content-type: text/plain\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    tcp.write_all(answer.as_bytes()).await?;
    tcp.shutdown().await
}

/// Returns the secure address of what this plain request asks for.
fn secure_address(head: &str) -> Option<String> {
    let mut lines = head.lines();
    let target = lines.next()?.split(' ').nth(1)?;
    let fields = lines.take_while(|line| !line.is_empty()).filter_map(|line| line.split_once(':'));
    let (_, host) = fields.into_iter().find(|(name, _)| name.eq_ignore_ascii_case("host"))?;
    let host = host.trim();
    let plain = !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || "-._:[]".contains(c));
    let fits = plain && target.starts_with('/') && target.chars().all(|c| c.is_ascii_graphic());
    fits.then(|| format!("https://{host}{target}"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use tokio_rustls::TlsConnector;
    use tokio_rustls::rustls::pki_types::ServerName;
    use tokio_rustls::rustls::{ClientConfig, RootCertStore};

    use super::*;
    use crate::connections::{Limits, serve};

    #[test]
    fn a_certificate_is_made_once_and_only_its_owner_may_read_it() {
        let data = tempfile::tempdir().expect("a folder");
        let file = data.path().join("tls.pem");
        let first = Identity::self_signed(&file).expect("a certificate");
        assert_eq!(fs::metadata(&file).expect("it is kept").permissions().mode() & 0o777, 0o600);
        let again = Identity::self_signed(&file).expect("a certificate");
        assert_eq!(first.description, again.description);

        let old = SystemTime::now() - RENEWED_AFTER - Duration::from_secs(1);
        OpenOptions::new().write(true).open(&file).and_then(|file| file.set_modified(old)).expect("an older file");
        let renewed = Identity::self_signed(&file).expect("a certificate");
        assert_ne!(first.description, renewed.description);
    }

    #[test]
    fn files_that_cannot_be_used_are_named() {
        let data = tempfile::tempdir().expect("a folder");
        let path = |name: &str| data.path().join(name);
        fs::write(path("text"), "no PEM").expect("a file");
        make_self_signed(&path("one.pem")).expect("a certificate");
        make_self_signed(&path("two.pem")).expect("a certificate");
        let failure = |cert: &str, key: &str| {
            Identity::load(&path(cert), &path(key)).err().expect("it cannot be used").to_string()
        };
        assert!(failure("none", "one.pem").contains("none cannot be read"));
        assert!(failure("text", "one.pem").contains("text holds no certificate"));
        assert!(failure("one.pem", "text").contains("text cannot be read"));
        assert!(failure("one.pem", "two.pem").contains("cannot be used together"));
        Identity::load(&path("one.pem"), &path("one.pem")).expect("they belong together");
    }

    #[tokio::test]
    async fn a_client_that_sends_nothing_after_the_handshake_is_disconnected() {
        let data = tempfile::tempdir().expect("a folder");
        let identity = Identity::self_signed(&data.path().join("tls.pem")).expect("a certificate");
        let tcp = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let addr = tcp.local_addr().expect("a port");
        let limits = Limits { head_patience: Duration::from_millis(300), connections: 8 };
        tokio::spawn(serve(TlsListener::new(tcp, identity), Router::new(), limits, std::future::pending()));

        let mut trusted = RootCertStore::empty();
        let own = CertificateDer::from_pem_file(data.path().join("tls.pem")).expect("a certificate");
        trusted.add(own).expect("a root");
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("a version")
            .with_root_certificates(trusted)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").expect("a name");
        let tcp = TcpStream::connect(addr).await.expect("a connection");
        let mut client = TlsConnector::from(Arc::new(config)).connect(name, tcp).await.expect("TLS");
        let mut answer = Vec::new();
        // Without a TLS goodbye: the server waits no longer for a client that kept it waiting.
        let _ = timeout(Duration::from_secs(60), client.read_to_end(&mut answer)).await.expect("it is closed");
        assert!(answer.is_empty());
    }

    #[test]
    fn a_plain_request_is_sent_to_the_same_place() {
        let head = |target: &str, host: &str| format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\n\r\n");
        let address = |target, host| secure_address(&head(target, host));
        assert_eq!(address("/live?x=1", "10.0.0.7:8000").as_deref(), Some("https://10.0.0.7:8000/live?x=1"));
        assert_eq!(address("/", "[::1]:8000").as_deref(), Some("https://[::1]:8000/"));
        for (target, host) in [("http://elsewhere/", "a"), ("//", "a b"), ("/", ""), ("/", "a@b"), ("/\rx", "a")] {
            assert_eq!(address(target, host), None, "{target:?} {host:?}");
        }
        assert_eq!(secure_address("GET / HTTP/1.1\r\n\r\nHost: late\r\n"), None);
    }
}
