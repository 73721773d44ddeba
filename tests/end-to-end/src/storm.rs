//! A proxy between the service and its receiver that injects every fault.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::Client;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::receiver::listen_at;

/// What happens to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// It arrives and is answered.
    None,
    /// It arrives and is answered late, but in time.
    Slow,
    /// 500, and it did not arrive.
    Refused,
    /// No answer, and it did not arrive.
    Silent,
    /// The connection is reset, and it did not arrive.
    Reset,
    /// It arrives, and then the connection is reset.
    TakenAndReset,
    /// It arrives, and is never answered.
    TakenAndSilent,
    /// Half of an answer that would say that it arrived, which it did.
    TakenAndCut,
}

/// How many requests in a hundred meet each fault; the others meet none.
const FAULTS: [(Fault, u32); 7] = [
    (Fault::Slow, 8),
    (Fault::Refused, 12),
    (Fault::Silent, 4),
    (Fault::Reset, 6),
    (Fault::TakenAndReset, 8),
    (Fault::TakenAndSilent, 4),
    (Fault::TakenAndCut, 3),
];

/// The proxy, listening.
pub struct Proxy {
    address: SocketAddr,
    state: Arc<State>,
}

struct State {
    target: Mutex<String>,
    random: Mutex<fastrand::Rng>,
    stormy: AtomicBool,
    down: AtomicBool,
    met: Mutex<BTreeMap<Fault, usize>>,
    arrived: Mutex<HashMap<String, usize>>,
    client: Client,
}

impl Proxy {
    /// A proxy at this address in front of the receiver at this URL, injecting faults from the start.
    pub async fn start_at(address: &str, target: &str, seed: u64) -> Self {
        let listener = listen_at(address).await;
        let address = listener.local_addr().expect("it is bound");
        let state = Arc::new(State {
            target: Mutex::new(target.into()),
            random: Mutex::new(fastrand::Rng::with_seed(seed)),
            stormy: AtomicBool::new(true),
            down: AtomicBool::new(false),
            met: Mutex::default(),
            arrived: Mutex::default(),
            client: Client::builder().no_proxy().build().expect("a client"),
        });
        tokio::spawn(listen(listener, address, state.clone()));
        Self { address, state }
    }

    /// The URL for events.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/attendance", self.address)
    }

    /// From now on the receiver is at this URL.
    pub fn point_to(&self, target: &str) {
        *self.state.target.lock().expect("no test panics here") = target.into();
    }

    /// Stops listening, or listens again.
    pub fn set_down(&self, down: bool) {
        self.state.down.store(down, Ordering::SeqCst);
    }

    /// Injects no more faults.
    pub fn calm(&self) {
        self.state.stormy.store(false, Ordering::SeqCst);
    }

    /// How many requests met which fault.
    #[must_use]
    pub fn met(&self) -> BTreeMap<Fault, usize> {
        self.state.met.lock().expect("no test panics here").clone()
    }

    /// How often each event arrived at the receiver.
    #[must_use]
    pub fn arrived(&self) -> HashMap<String, usize> {
        self.state.arrived.lock().expect("no test panics here").clone()
    }
}

async fn listen(listener: TcpListener, address: SocketAddr, state: Arc<State>) {
    let mut listener = Some(listener);
    let mut connections = JoinSet::new();
    loop {
        if state.down.load(Ordering::SeqCst) {
            // The open connections end too.
            listener = None;
            connections.abort_all();
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        }
        let Some(open) = &listener else {
            // For a moment the port may belong to a connection.
            listener = TcpListener::bind(address).await.ok();
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let accepted = tokio::time::timeout(Duration::from_millis(50), open.accept()).await;
        if let Ok(Ok((socket, _))) = accepted {
            let state = state.clone();
            connections.spawn(serve(state, socket));
        }
        while connections.try_join_next().is_some() {}
    }
}

/// One connection, until a fault or the service ends it.
async fn serve(state: Arc<State>, mut socket: TcpStream) {
    while let Ok(Some(request)) = Request::read(&mut socket).await {
        if !state.meet(request, &mut socket).await.unwrap_or(false) {
            return;
        }
    }
}

impl State {
    fn draw(&self) -> Fault {
        let mut rest = self.random.lock().expect("no test panics here").u32(..100);
        if !self.stormy.load(Ordering::SeqCst) {
            return Fault::None;
        }
        for (fault, share) in FAULTS {
            if rest < share {
                return fault;
            }
            rest -= share;
        }
        Fault::None
    }

    /// Applies a random fault to the request, and returns whether the connection goes on.
    async fn meet(&self, request: Request, socket: &mut TcpStream) -> io::Result<bool> {
        let fault = self.draw();
        *self.met.lock().expect("no test panics here").entry(fault).or_default() += 1;
        match fault {
            Fault::Refused => {
                socket.write_all(&answer(500, "a fault")).await?;
                return Ok(true);
            }
            Fault::Silent => return silence(socket).await,
            Fault::Reset => {
                socket.set_zero_linger()?;
                return Ok(false);
            }
            Fault::Slow => tokio::time::sleep(Duration::from_millis(200)).await,
            Fault::None | Fault::TakenAndReset | Fault::TakenAndSilent | Fault::TakenAndCut => {}
        }
        // A proxy of a receiver that is down is down.
        let Some((status, body)) = self.forward(request).await else {
            socket.set_zero_linger()?;
            return Ok(false);
        };
        match fault {
            Fault::TakenAndSilent => return silence(socket).await,
            Fault::TakenAndReset => {
                socket.set_zero_linger()?;
                return Ok(false);
            }
            Fault::TakenAndCut => {
                socket.write_all(b"HTTP/1.1 20").await?;
                return Ok(false);
            }
            _ => socket.write_all(&answer(status, &body)).await?,
        }
        Ok(true)
    }

    /// The receiver's answer, or `None` if there is none.
    async fn forward(&self, request: Request) -> Option<(u16, String)> {
        let target = self.target.lock().expect("no test panics here").clone();
        let mut forwarded = self.client.post(target).body(request.body);
        for (name, value) in &request.headers {
            if !matches!(&**name, "host" | "content-length" | "connection") {
                forwarded = forwarded.header(name, value);
            }
        }
        let response = forwarded.send().await.ok()?;
        let status = response.status().as_u16();
        let body = response.text().await.ok()?;
        if status == 200 {
            let id = request.headers.get("webhook-id").cloned().unwrap_or_default();
            *self.arrived.lock().expect("no test panics here").entry(id).or_default() += 1;
        }
        Some((status, body))
    }
}

/// Answers nothing until the service gives up.
async fn silence(socket: &mut TcpStream) -> io::Result<bool> {
    let mut rest = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(20), socket.read_to_end(&mut rest)).await;
    Ok(false)
}

fn answer(status: u16, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status} So\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// A request with lower-case header names.
struct Request {
    headers: HashMap<String, String>,
    body: Vec<u8>,
}

impl Request {
    /// The next request, or `None` if the service closed the connection.
    async fn read(socket: &mut TcpStream) -> io::Result<Option<Self>> {
        let mut bytes = Vec::new();
        let end = loop {
            if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            if socket.read_buf(&mut bytes).await? == 0 {
                return Ok(None);
            }
        };
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let headers: HashMap<String, String> = head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let length: usize = headers.get("content-length").and_then(|text| text.parse().ok()).unwrap_or_default();
        let mut body = bytes.split_off(end);
        while body.len() < length {
            if socket.read_buf(&mut body).await? == 0 {
                return Ok(None);
            }
        }
        Ok(Some(Self { headers, body }))
    }
}
