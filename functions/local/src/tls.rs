use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use axum::Router;
use axum::extract::Request;
use axum::http::HeaderValue;
use axum::middleware::map_request;
use axum::serve::Listener;
use clap::Args;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::server::TlsStream;

/// The longest a client may take to agree on TLS.
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(10);
/// Handshakes under way at once; further connections wait.
const HANDSHAKES: usize = 512;
/// The largest head of a plain HTTP request that is read to answer it.
const HEAD_LIMIT: usize = 8 << 10;
/// How long a certificate of ours is valid: what every device takes that was told to trust it, Apple's allowing 825 days.
const VALID_FOR: Duration = Duration::from_secs(800 * 24 * 3600);
/// After what age a start makes a new one.
const RENEWED_AFTER: Duration = Duration::from_secs(365 * 24 * 3600);

/// How `serve` does TLS.
#[derive(Args, Default)]
#[group(skip)]
pub(crate) struct Options {
    /// Serve over HTTPS, which browsers want before a page may use the camera. The certificate is self-signed and kept in
    /// the data folder, unless --tls-cert names one
    #[arg(long)]
    tls: bool,
    /// The certificate chain to serve with, in PEM; implies --tls
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
}

/// A certificate to serve with.
pub(crate) struct Identity {
    acceptor: TlsAcceptor,
    /// The SHA-256 of the certificate as browsers show it, and where it lies.
    pub(crate) description: String,
}

impl Options {
    /// Returns the certificate to serve with, or `None` where TLS is not asked for. A self-signed one is made where `data`
    /// has none that is young enough.
    pub(crate) fn identity(&self, data: &Path) -> Result<Option<Identity>> {
        match (&self.tls_cert, &self.tls_key) {
            (Some(cert), Some(key)) => Identity::load(cert, key).map(Some),
            _ if self.tls => {
                let own = data.join("tls.pem");
                if !is_young(&own) {
                    make_own(&own).with_context(|| format!("cannot keep a certificate in {}", own.display()))?;
                }
                Identity::load(&own, &own).map(Some)
            }
            _ => Ok(None),
        }
    }
}

impl Identity {
    fn load(cert: &Path, key: &Path) -> Result<Self> {
        let unreadable = |path: &Path| format!("{} cannot be read as PEM", path.display());
        let chain = CertificateDer::pem_file_iter(cert).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let chain = chain.with_context(|| unreadable(cert))?;
        let first = chain.first().with_context(|| format!("{} holds no certificate", cert.display()))?;
        let digest: Vec<String> = Sha256::digest(first).iter().map(|byte| format!("{byte:02X}")).collect();
        let description = format!("{} (SHA-256 {})", cert.display(), digest.join(":"));
        let key_file = key;
        let key = PrivateKeyDer::from_pem_file(key).with_context(|| unreadable(key))?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .with_context(|| format!("{} and {} cannot be used together", cert.display(), key_file.display()))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), description })
    }
}

fn is_young(file: &Path) -> bool {
    let age = fs::metadata(file).and_then(|data| data.modified()).map(|made| made.elapsed().unwrap_or_default());
    age.is_ok_and(|age| age < RENEWED_AFTER)
}

/// Makes a certificate for this machine's names and addresses. Certificate and key are one file, so that they always
/// belong together, which nobody but its owner may read.
fn make_own(file: &Path) -> Result<()> {
    let names = ["localhost".to_owned(), Ipv4Addr::LOCALHOST.to_string(), Ipv6Addr::LOCALHOST.to_string()];
    let names = names.into_iter().chain(addresses().iter().map(IpAddr::to_string)).collect::<Vec<_>>();
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, "Attendance");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    // A device whose clock is behind takes it too.
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

/// This machine's addresses that others can reach it by.
pub(crate) fn addresses() -> Vec<IpAddr> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    interfaces.iter().filter(|i| !i.is_loopback() && !i.is_link_local()).map(if_addrs::Interface::ip).collect()
}

/// The service as it is behind TLS: what it says of its own address names the secure scheme.
pub(crate) fn secured(app: Router) -> Router {
    app.layer(map_request(async |mut request: Request| {
        request.headers_mut().insert("x-forwarded-proto", HeaderValue::from_static("https"));
        request
    }))
}

/// Accepts TLS connections. A client that is slow to agree holds up nobody, and one that speaks plain HTTP is sent to the
/// secure address.
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
                        let stream = timeout(HANDSHAKE_PATIENCE, agree(tcp, acceptor)).await.ok()??;
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

/// The connection once TLS is agreed on; `None` where it is not.
async fn agree(mut tcp: TcpStream, acceptor: TlsAcceptor) -> Option<TlsStream<TcpStream>> {
    let mut first = [0];
    if tcp.peek(&mut first).await.ok()? == 0 {
        return None;
    }
    // A TLS connection begins with the byte 22, a plain request with its method.
    if first[0].is_ascii_uppercase() {
        let _ = send_elsewhere(&mut tcp).await;
        return None;
    }
    acceptor.accept(tcp).await.inspect_err(|error| tracing::debug!(%error, "no TLS was agreed on")).ok()
}

/// Answers a plain HTTP request by the secure address.
async fn send_elsewhere(tcp: &mut TcpStream) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") && head.len() < HEAD_LIMIT {
        if tcp.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let (status, location) = match secure_address(&String::from_utf8_lossy(&head)) {
        // Not a permanent one: the server may be started without TLS another time.
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

/// The secure address of what this plain request asks for.
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
        let options = Options { tls: true, ..Options::default() };
        let first = options.identity(data.path()).expect("a certificate").expect("TLS is asked for");
        let file = data.path().join("tls.pem");
        assert_eq!(fs::metadata(&file).expect("it is kept").permissions().mode() & 0o777, 0o600);
        let again = options.identity(data.path()).expect("a certificate").expect("TLS is asked for");
        assert_eq!(first.description, again.description);

        let old = SystemTime::now() - RENEWED_AFTER - Duration::from_secs(1);
        OpenOptions::new().write(true).open(&file).and_then(|file| file.set_modified(old)).expect("an older file");
        let renewed = options.identity(data.path()).expect("a certificate").expect("TLS is asked for");
        assert_ne!(first.description, renewed.description);
    }

    #[test]
    fn files_that_cannot_be_used_are_named() {
        let data = tempfile::tempdir().expect("a folder");
        assert!(Options::default().identity(data.path()).expect("no TLS").is_none());
        let path = |name: &str| data.path().join(name);
        fs::write(path("text"), "no PEM").expect("a file");
        make_own(&path("one.pem")).expect("a certificate");
        make_own(&path("two.pem")).expect("a certificate");
        let failure = |cert: &str, key: &str| {
            let options = Options { tls: false, tls_cert: Some(path(cert)), tls_key: Some(path(key)) };
            format!("{:#}", options.identity(data.path()).err().expect("it cannot be used"))
        };
        assert!(failure("none", "one.pem").contains("none cannot be read"));
        assert!(failure("text", "one.pem").contains("text holds no certificate"));
        assert!(failure("one.pem", "text").contains("text cannot be read"));
        assert!(failure("one.pem", "two.pem").contains("cannot be used together"));
        let options = Options { tls: false, tls_cert: Some(path("one.pem")), tls_key: Some(path("one.pem")) };
        assert!(options.identity(data.path()).expect("they belong together").is_some());
    }

    #[tokio::test]
    async fn who_agrees_on_tls_and_then_sends_nothing_is_closed() {
        let data = tempfile::tempdir().expect("a folder");
        let options = Options { tls: true, ..Options::default() };
        let identity = options.identity(data.path()).expect("a certificate").expect("TLS is asked for");
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
        // Without a goodbye: the server waits for nothing more from who has kept it waiting.
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
