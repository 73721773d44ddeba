//! The time from a posted frame to the Attendance API, with and without other frames beside it.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use clap::Args;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

/// What `delivery` takes.
#[derive(Args)]
pub(crate) struct Options {
    /// The attendance command
    #[arg(long, value_name = "FILE", default_value = "target/release/attendance")]
    program: PathBuf,
    /// The frame, which must show somebody
    #[arg(long, value_name = "FILE", default_value = "target/bench/frames/face-640x480.jpg")]
    frame: PathBuf,
    /// Frames that are timed at each setting
    #[arg(long, default_value_t = 100)]
    frames: usize,
    /// Clients that post frames without a pause beside those that are timed
    #[arg(long, value_name = "CLIENTS", value_delimiter = ',', default_values_t = [0, 2, 8])]
    load: Vec<usize>,
    /// Smallest face side in pixels
    #[arg(long, default_value_t = 80)]
    min_size: u32,
}

/// When the event of each frame came, by the frame's `device_id`.
type Arrivals = Arc<Mutex<HashMap<String, Instant>>>;

/// Prints one line of JSON per setting: milliseconds from posting a frame to the event at the receiver and to the answer.
pub(crate) fn run(options: &Options) -> Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(measure(options))
}

async fn measure(options: &Options) -> Result<()> {
    let arrivals = Arrivals::default();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let receiver = format!("http://{}/", listener.local_addr()?);
    let app = Router::new().route("/", post(arrive)).with_state(arrivals.clone());
    tokio::spawn(axum::serve(listener, app).into_future());
    let server = Server::start(options, &receiver)?;
    let client = Client {
        http: reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(60)).build()?,
        url: format!("{}/recognize/realtime?send_unknown=true", server.url),
        frame: std::fs::read(&options.frame).with_context(|| format!("cannot read {}", options.frame.display()))?,
    };
    client.post("warm-up").await?;
    for load in &options.load {
        let (stop, others) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let clients: Vec<_> = (0..*load)
            .map(|n| {
                let (client, stop, others) = (client.clone(), stop.clone(), others.clone());
                tokio::spawn(async move {
                    while !stop.load(Ordering::Relaxed) {
                        client.post(&format!("other-{n}")).await?;
                        others.fetch_add(1, Ordering::Relaxed);
                    }
                    anyhow::Ok(())
                })
            })
            .collect();
        let (mut to_receiver, mut to_answer) = (Vec::new(), Vec::new());
        let begun = Instant::now();
        for n in 0..options.frames {
            let name = format!("timed-{load}-{n}");
            let sent = Instant::now();
            client.post(&name).await?;
            to_answer.push(sent.elapsed().as_secs_f64() * 1e3);
            let arrived = arrivals.lock().expect("no handler panics").remove(&name);
            let arrived = arrived.context("an event was not delivered within its request")?;
            to_receiver.push((arrived - sent).as_secs_f64() * 1e3);
        }
        let seconds = begun.elapsed().as_secs_f64();
        stop.store(true, Ordering::Relaxed);
        for client in clients {
            client.await??;
        }
        let line = json!({
            "load_clients": load,
            "frames": options.frames,
            "frames_per_second_in_all": (options.frames + others.load(Ordering::Relaxed)) as f64 / seconds,
            "to_receiver_ms": quantiles(to_receiver),
            "to_answer_ms": quantiles(to_answer),
        });
        println!("{line}");
    }
    Ok(())
}

async fn arrive(State(arrivals): State<Arrivals>, Json(event): Json<Value>) -> Json<Value> {
    let now = Instant::now();
    let device = event["device_id"].as_str().unwrap_or_default().to_owned();
    arrivals.lock().expect("no handler panics").insert(device, now);
    Json(json!({"ok": true}))
}

fn quantiles(mut times: Vec<f64>) -> Value {
    times.sort_by(f64::total_cmp);
    let at = |q: f64| times.get(((times.len().saturating_sub(1)) as f64 * q).round() as usize);
    json!({"p50": at(0.5), "p95": at(0.95), "max": at(1.0)})
}

#[derive(Clone)]
struct Client {
    http: reqwest::Client,
    url: String,
    frame: Vec<u8>,
}

impl Client {
    /// Posts the frame from a camera of this name.
    async fn post(&self, device: &str) -> Result<()> {
        let image = Part::bytes(self.frame.clone()).file_name("frame.jpg");
        let form = Form::new().text("device_id", device.to_owned()).part("image", image);
        let answer = self.http.post(&self.url).multipart(form).send().await?.bytes().await?;
        let answer: Value = serde_json::from_slice(&answer)?;
        ensure!(answer["dispatch"][0]["report"]["status"] == "sent", "not sent: {answer}");
        Ok(())
    }
}

/// A server on a data folder of its own, which tells the receiver every sighting, signed.
struct Server {
    child: Child,
    url: String,
    _data: TempDir,
}

impl Server {
    fn start(options: &Options, receiver: &str) -> Result<Self> {
        let data = TempDir::new()?;
        let mut command = Command::new(&options.program);
        command.args(["serve", "--addr", "127.0.0.1:0", "--data-dir"]).arg(data.path());
        command.env("ATTENDANCE_WEBHOOK_URL", receiver).env("EVENT_COOLDOWN_SECONDS", "0");
        command.env("ATTENDANCE_API_KEY", "a-key").env("ATTENDANCE_HMAC_SECRET", "a-secret");
        command.env("FACE_MIN_SIZE", options.min_size.to_string()).env("RUST_LOG", "warn");
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("{} cannot be started", options.program.display()))?;
        let output = child.stdout.take().context("the server has no output")?;
        let mut server = Self { child, url: String::new(), _data: data };
        let mut lines = BufReader::new(output).lines().map_while(Result::ok);
        let url = lines.find_map(|line| Some(line.strip_prefix("Attendance listens on ")?.to_owned()));
        server.url = url.context("the server did not start")?;
        // What it says later must not stop it: somebody has to read it.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It was measured and nothing else; nobody waits for it to end well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
