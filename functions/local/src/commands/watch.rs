//! The realtime client: it posts frames and prints what is pushed.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use attendance::Environment;
use attendance_camera::{Frame, Frames};
use attendance_vision::MAX_BYTES;
use attendance_wire::http::{DispatchResult, ErrorBody, FaceResult, RealtimeResponse};
use attendance_wire::push::PushBody;
use clap::Args;
use futures_util::{SinkExt, StreamExt};
use reqwest::multipart::{Form, Part};
use reqwest::{Client, Url};
use serde_json::Value;
use tokio_tungstenite::tungstenite::Message;

/// How long the command waits for the push of the last frame before it ends.
const PUSH_PATIENCE: Duration = Duration::from_secs(3);
/// The wait before a broken WebSocket is opened again.
const RECONNECT_WAIT: Duration = Duration::from_secs(1);

/// The arguments of `watch`.
#[derive(Args)]
pub(crate) struct Options {
    /// Picture files, folders of them, or http(s) URLs that stream JPEGs; without any, only listen to the WebSocket
    #[arg(value_name = "SOURCE")]
    sources: Vec<String>,
    /// URL of the server
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8000")]
    server: Url,
    /// Access key [env: ATTENDANCE_ACCESS_KEY, the first key in it]
    #[arg(long)]
    key: Option<String>,
    /// Seconds between frames; frames that a stream sends in between are dropped
    #[arg(long, default_value_t = 0.2, value_name = "SECONDS")]
    interval: f64,
    /// Dispatch only faces within this distance
    #[arg(long)]
    min_conf: Option<f32>,
    /// Also dispatch unknown faces
    #[arg(long)]
    send_unknown: bool,
    /// Camera name
    #[arg(long)]
    device_id: Option<String>,
    /// Camera location
    #[arg(long)]
    location_id: Option<String>,
    /// Class being taught
    #[arg(long)]
    class_id: Option<String>,
    /// Lesson
    #[arg(long)]
    session_id: Option<String>,
}

pub(crate) fn run(options: &Options, environment: &Environment) -> Result<ExitCode> {
    ensure!((0.0..=3600.0).contains(&options.interval), "--interval must be from 0 to 3600 seconds");
    let key = options.key.clone().or_else(|| environment.words("ATTENDANCE_ACCESS_KEY").next().map(str::to_owned));
    tokio::runtime::Runtime::new()?.block_on(watch(options, key))
}

async fn watch(options: &Options, key: Option<String>) -> Result<ExitCode> {
    let pushed = Arc::new(AtomicUsize::new(0));
    let listener = tokio::spawn(listen(websocket_url(&options.server, key.as_deref())?, pushed.clone()));
    if options.sources.is_empty() {
        listener.await?;
        return Ok(ExitCode::SUCCESS);
    }
    let camera = Camera::new(options, key)?;
    let (mut told, mut failed) = (0, 0);
    let mut frames = Frames::open(&options.sources, camera.client.clone(), MAX_BYTES);
    while let Some(frame) = frames.next().await {
        let started = tokio::time::Instant::now();
        match camera.post(frame?).await {
            Ok(dispatched) => told += dispatched,
            Err(error) => {
                failed += 1;
                eprintln!("{error:#}");
            }
        }
        tokio::time::sleep_until(started + Duration::from_secs_f64(options.interval)).await;
    }
    let all_pushed = async {
        while pushed.load(Ordering::Relaxed) < told {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    // The frames are done, whether or not their pushes came in time.
    let _ = tokio::time::timeout(PUSH_PATIENCE, all_pushed).await;
    listener.abort();
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Posts frames to the server.
struct Camera {
    client: Client,
    url: Url,
    key: Option<String>,
}

impl Camera {
    fn new(options: &Options, key: Option<String>) -> Result<Self> {
        let mut url = options.server.join("recognize/realtime")?;
        {
            let mut query = url.query_pairs_mut();
            if let Some(distance) = options.min_conf {
                query.append_pair("min_conf", &distance.to_string());
            }
            if options.send_unknown {
                query.append_pair("send_unknown", "true");
            }
            let context = [
                ("device_id", &options.device_id),
                ("location_id", &options.location_id),
                ("class_id", &options.class_id),
                ("session_id", &options.session_id),
            ];
            for (name, value) in context {
                if let Some(value) = value {
                    query.append_pair(name, value);
                }
            }
        }
        let client = Client::builder().connect_timeout(Duration::from_secs(5)).build()?;
        Ok(Self { client, url, key })
    }

    /// Posts one frame, prints what became of each sighting, and returns how many there were.
    async fn post(&self, frame: Frame) -> Result<usize> {
        let Frame { name, bytes } = frame;
        let form = Form::new().part("image", Part::stream(bytes).file_name("frame"));
        let mut request = self.client.post(self.url.clone()).multipart(form).timeout(Duration::from_secs(60));
        if let Some(key) = &self.key {
            request = request.bearer_auth(key);
        }
        let response = request.send().await.with_context(|| format!("{name}: the server does not answer"))?;
        let status = response.status();
        if !status.is_success() {
            // A gateway in between refuses in a shape of its own.
            let refusal = response.json::<ErrorBody>().await;
            bail!("{name}: {status}: {}", refusal.map_or_else(|_| "no reason given".into(), |body| body.msg));
        }
        let answer: RealtimeResponse =
            response.json().await.with_context(|| format!("{name}: the server answered {status}"))?;
        println!("{name}: {} faces", answer.results.len());
        for FaceResult { label, distance, .. } in &answer.results {
            println!("  {label} distance {}", Value::from(*distance));
        }
        for DispatchResult { label, report } in &answer.dispatch {
            let http_status = report.http_status.map_or(String::new(), |code| format!(" ({code})"));
            let message = report.message.as_deref().unwrap_or_default();
            println!("dispatch[{label}] -> {}{http_status} {message}", report.status);
        }
        Ok(answer.dispatch.len())
    }
}

fn websocket_url(server: &Url, key: Option<&str>) -> Result<Url> {
    let mut url = server.join("ws/recognitions")?;
    let scheme = if server.scheme() == "https" { "wss" } else { "ws" };
    if url.set_scheme(scheme).is_err() {
        bail!("--server must be an http or https URL");
    }
    if let Some(key) = key {
        url.query_pairs_mut().append_pair("key", key);
    }
    Ok(url)
}

/// Prints every push, for ever. After a break it asks for the pushes that it missed.
async fn listen(url: Url, pushed: Arc<AtomicUsize>) {
    let mut last_seq = None;
    loop {
        if let Err(error) = listen_once(&url, &mut last_seq, &pushed).await {
            eprintln!("WS: {error:#}");
        }
        tokio::time::sleep(RECONNECT_WAIT).await;
    }
}

async fn listen_once(url: &Url, last_seq: &mut Option<u64>, pushed: &AtomicUsize) -> Result<()> {
    let mut url = url.clone();
    if let Some(seq) = last_seq {
        url.query_pairs_mut().append_pair("since", &seq.to_string());
    }
    let (mut socket, _) = tokio_tungstenite::connect_async(url.as_str()).await.context("cannot connect")?;
    while let Some(message) = socket.next().await {
        match message.context("the connection broke")? {
            Message::Text(text) => {
                println!("WS: {text}");
                // A newer server may push what this client does not know: it prints it, and counts it as seen.
                let message: Value = serde_json::from_str(&text).unwrap_or_default();
                *last_seq = message["seq"].as_u64().or(*last_seq);
                if matches!(serde_json::from_value(message), Ok(PushBody::Recognized { .. })) {
                    pushed.fetch_add(1, Ordering::Relaxed);
                }
            }
            Message::Close(_) => break,
            // The library answers pings; flushing sends the answer.
            _ => socket.flush().await?,
        }
    }
    bail!("the server closed the connection")
}
