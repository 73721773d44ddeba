use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;

use crate::connections::{Limits, serve};
use crate::machine::{raise_file_limit, stop_signal};
use crate::tls::{Identity, TlsListener, secured};

/// An address that this process listens on.
pub struct Server {
    listener: TcpListener,
    identity: Option<Identity>,
    limits: Limits,
}

impl Server {
    /// Returns a server that listens on `addr`, over TLS if it has an identity. Port 0 takes a free port. Raises the
    /// process's limit of open files, half of which are for connections.
    ///
    /// # Errors
    /// If the address cannot be listened on.
    pub async fn bind(addr: SocketAddr, identity: Option<Identity>) -> io::Result<Self> {
        let limits = Limits::for_open_files(raise_file_limit());
        Ok(Self { listener: TcpListener::bind(addr).await?, identity, limits })
    }

    /// Returns the address, with the port that was taken.
    ///
    /// # Errors
    /// If the system does not tell it.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers what connects until `shutdown` ends, and returns once every request that had begun is answered.
    pub async fn serve(self, app: Router, shutdown: impl Future<Output = ()>) {
        let Self { listener, identity, limits } = self;
        match identity {
            None => serve(listener, app, limits, shutdown).await,
            Some(identity) => serve(TlsListener::new(listener, identity), secured(app), limits, shutdown).await,
        }
    }

    /// Serves until SIGTERM or SIGINT, then calls `on_stop` and returns once every request that had begun is answered, or
    /// after `patience`. A second signal ends the process at once with exit code 1.
    pub async fn serve_until_signal(self, app: Router, patience: Duration, on_stop: impl FnOnce() + Send) {
        tokio::spawn(async {
            stop_signal().await;
            stop_signal().await;
            std::process::exit(1);
        });
        let shutdown = async move {
            stop_signal().await;
            on_stop();
        };
        let stopped: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(self.serve(app, shutdown));
        tokio::select! {
            () = stopped => {}
            // A client that never finishes its request must not keep the process from ending.
            () = async { stop_signal().await; tokio::time::sleep(patience).await } => {}
        }
    }
}
