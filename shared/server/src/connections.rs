//! The connections of a server, each bounded in what it can hold up.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::serve::Listener;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a request's head may take to arrive, and how long a connection may lie idle before the next. Longer than the
/// 60 s after which proxies and load balancers close an idle connection: the side that receives the next request must not
/// be the one that closes first.
const HEAD_PATIENCE: Duration = Duration::from_secs(75);
/// The most connections at once. Each takes some memory.
const CONNECTIONS: u64 = 16_384;

/// What connections may use.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) head_patience: Duration,
    pub(crate) connections: usize,
}

impl Limits {
    /// Returns limits that leave half of the files that a process may open to the database, the pictures and the
    /// deliveries.
    pub(crate) fn for_open_files(files: Option<u64>) -> Self {
        let connections = files.map_or(CONNECTIONS, |files| (files / 2).clamp(1, CONNECTIONS));
        Self { head_patience: HEAD_PATIENCE, connections: connections as usize }
    }
}

/// Answers what connects until `shutdown` ends, and returns once every request that had begun is answered.
///
/// `axum::serve` sets no timeout for a request's head: hyper's needs a timer, which axum does not give it. A connection
/// whose head is late is closed. Beyond the most connections, the next one waits to be accepted.
pub(crate) async fn serve<L: Listener>(
    mut listener: L,
    app: Router,
    limits: Limits,
    shutdown: impl Future<Output = ()>,
) {
    let mut http = http1::Builder::new();
    // A client that closes its side after its request still wants the answer.
    http.timer(TokioTimer::new()).header_read_timeout(limits.head_patience).half_close(true);
    let places = Arc::new(Semaphore::new(limits.connections));
    let (stopping, connections) = (CancellationToken::new(), TaskTracker::new());
    let mut shutdown = pin!(shutdown);
    loop {
        let next = async {
            let place = places.clone().acquire_owned().await.expect("nobody closes the semaphore");
            Held { io: listener.accept().await.0, _place: place }
        };
        let io = tokio::select! {
            io = next => io,
            () = &mut shutdown => break,
        };
        let connection = http.serve_connection(TokioIo::new(io), TowerToHyperService::new(app.clone())).with_upgrades();
        let stopping = stopping.clone();
        connections.spawn(async move {
            let mut connection = pin!(connection);
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = stopping.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection broke");
            }
        });
    }
    drop(listener);
    stopping.cancel();
    connections.close();
    connections.wait().await;
}

/// A connection and its place among the most that there may be. The place is free again once the connection is closed;
/// after an upgrade the WebSocket holds it.
struct Held<T> {
    io: T,
    _place: OwnedSemaphorePermit,
}

impl<T: AsyncRead + Unpin> AsyncRead for Held<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Held<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::extract::ws::WebSocketUpgrade;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::Notify;
    use tokio::task::JoinHandle;
    use tokio::time::timeout;

    use super::*;

    /// How long a busy machine may take for any step.
    const PATIENCE: Duration = Duration::from_secs(60);
    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";

    /// A server whose `/slow` signals that it has begun and answers once it is told to.
    struct Server {
        addr: SocketAddr,
        begun: Arc<Notify>,
        answer: Arc<Notify>,
        stop: Arc<Notify>,
        running: JoinHandle<()>,
    }

    impl Server {
        async fn start(head_patience: Duration, connections: usize) -> Self {
            let [begun, answer, stop] = [(); 3].map(|()| Arc::new(Notify::new()));
            let (begins, answers, stops) = (begun.clone(), answer.clone(), stop.clone());
            let slow = async move || {
                begins.notify_one();
                answers.notified().await;
                "slow"
            };
            let watch = async |upgrade: WebSocketUpgrade| {
                upgrade.on_upgrade(async |mut socket| while socket.recv().await.is_some() {})
            };
            let app = Router::new().route("/", get("hello")).route("/slow", get(slow)).route("/watch", get(watch));
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let addr = listener.local_addr().unwrap();
            let limits = Limits { head_patience, connections };
            let running = tokio::spawn(async move { serve(listener, app, limits, stops.notified()).await });
            Self { addr, begun, answer, stop, running }
        }

        /// A client whose request for `/slow` has begun.
        async fn slow_client(&self) -> TcpStream {
            let mut client = TcpStream::connect(self.addr).await.unwrap();
            client.write_all(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
            timeout(PATIENCE, self.begun.notified()).await.expect("the request begins");
            client
        }
    }

    /// Returns everything that comes until the server closes the connection.
    async fn to_the_end(client: &mut TcpStream) -> String {
        let mut answer = Vec::new();
        let end = timeout(PATIENCE, client.read_to_end(&mut answer)).await.expect("the server closes the connection");
        // A reset is an end too: the server closed with bytes of ours unread.
        let _ = end;
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// Returns the first bytes that come.
    async fn answer(client: &mut TcpStream) -> String {
        let mut bytes = vec![0; 4096];
        let count = timeout(PATIENCE, client.read(&mut bytes)).await.expect("an answer").unwrap();
        String::from_utf8_lossy(&bytes[..count]).into_owned()
    }

    #[tokio::test]
    async fn a_client_that_sends_nothing_or_drips_a_head_is_disconnected() {
        let server = Server::start(Duration::from_millis(1500), 8).await;
        let mut silent = TcpStream::connect(server.addr).await.unwrap();
        assert_eq!(to_the_end(&mut silent).await, "");

        let mut idle = TcpStream::connect(server.addr).await.unwrap();
        idle.write_all(REQUEST).await.unwrap();
        assert!(to_the_end(&mut idle).await.ends_with("hello"));

        // Each byte comes in good time, the head as a whole does not.
        let (mut reading, mut dripping) = TcpStream::connect(server.addr).await.unwrap().into_split();
        let drip = tokio::spawn(async move {
            for byte in b"GET / HTTP/1.1\r\nx: ".iter().chain(std::iter::repeat(&b'a')) {
                if dripping.write_all(&[*byte]).await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        let mut rest = Vec::new();
        let _ = timeout(PATIENCE, reading.read_to_end(&mut rest)).await.expect("the server closes the connection");
        timeout(PATIENCE, drip).await.expect("the connection is closed to writing too").unwrap();
    }

    #[tokio::test]
    async fn an_answer_may_take_longer_than_a_head() {
        let server = Server::start(Duration::from_millis(1500), 8).await;
        let mut client = server.slow_client().await;
        tokio::time::sleep(Duration::from_millis(2000)).await;
        server.answer.notify_one();
        assert!(answer(&mut client).await.ends_with("slow"));
    }

    #[tokio::test]
    async fn a_client_that_closes_its_side_after_the_request_is_answered() {
        let server = Server::start(Duration::from_secs(600), 8).await;
        let mut client = server.slow_client().await;
        client.shutdown().await.unwrap();
        server.answer.notify_one();
        assert!(to_the_end(&mut client).await.ends_with("slow"));
    }

    #[tokio::test]
    async fn beyond_the_most_connections_the_next_waits_and_a_websocket_keeps_its_place() {
        let server = Server::start(Duration::from_secs(600), 1).await;
        let mut watcher = TcpStream::connect(server.addr).await.unwrap();
        let upgrade = "GET /watch HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                       sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        watcher.write_all(upgrade.as_bytes()).await.unwrap();
        assert!(answer(&mut watcher).await.starts_with("HTTP/1.1 101"));

        let mut next = TcpStream::connect(server.addr).await.unwrap();
        next.write_all(REQUEST).await.unwrap();
        let early = timeout(Duration::from_millis(300), next.readable()).await;
        assert!(early.is_err(), "it is answered although there is no place");
        drop(watcher);
        assert!(answer(&mut next).await.ends_with("hello"));
    }

    #[tokio::test]
    async fn a_stop_answers_what_has_begun_and_closes_what_is_idle() {
        let server = Server::start(Duration::from_secs(600), 8).await;
        let mut idle = TcpStream::connect(server.addr).await.unwrap();
        idle.write_all(REQUEST).await.unwrap();
        assert!(answer(&mut idle).await.ends_with("hello"));
        let mut asking = server.slow_client().await;
        server.stop.notify_one();
        assert_eq!(to_the_end(&mut idle).await, "");
        server.answer.notify_one();
        assert!(to_the_end(&mut asking).await.ends_with("slow"));
        timeout(PATIENCE, server.running).await.expect("the server ends").unwrap();
        assert!(TcpStream::connect(server.addr).await.is_err());
    }

    #[test]
    fn half_of_the_open_files_are_left_to_the_rest() {
        assert_eq!(Limits::for_open_files(Some(1024)).connections, 512);
        assert_eq!(Limits::for_open_files(Some(1 << 30)).connections, 16_384);
        assert_eq!(Limits::for_open_files(None).connections, 16_384);
    }
}
