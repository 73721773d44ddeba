//! A closed-loop HTTP load: every client posts the next frame when the last one is answered.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

/// What `load` takes.
#[derive(Args)]
pub(crate) struct Options {
    /// Where to post, for instance http://127.0.0.1:8000/recognize
    #[arg(long)]
    url: String,
    /// The frames, posted in turn as the multipart field `image`, which have to be answered with 200
    #[arg(long, value_name = "FILE", required = true)]
    frame: Vec<PathBuf>,
    /// Files posted among the frames, which have to be refused with a status from 400 to 499
    #[arg(long, value_name = "FILE")]
    refused: Vec<PathBuf>,
    /// Clients that post side by side
    #[arg(long, default_value_t = 1)]
    concurrency: usize,
    /// How long
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// At most so many requests, however long they take; then --seconds does not count
    #[arg(long)]
    requests: Option<usize>,
    /// Requests before the clock starts
    #[arg(long, default_value_t = 2)]
    warmup: usize,
}

struct Client {
    http: reqwest::Client,
    url: String,
    /// What is posted, and whether it is to be refused.
    pictures: Vec<(Vec<u8>, bool)>,
}

/// Prints one line of JSON: requests, failures, requests a second, and latencies in milliseconds.
pub(crate) fn run(options: &Options) -> Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(load(options))
}

async fn load(options: &Options) -> Result<()> {
    let read = |path: &PathBuf| std::fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    let frames = options.frame.iter().map(|path| Ok((read(path)?, false)));
    let pictures = frames.chain(options.refused.iter().map(|path| Ok((read(path)?, true)))).collect::<Result<_>>()?;
    let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(120)).build()?;
    let client = Arc::new(Client { http, url: options.url.clone(), pictures });
    let mut answer = Value::Null;
    for _ in 0..options.warmup.max(1) {
        answer = client.post(0).await?;
    }

    let left = Arc::new(AtomicUsize::new(options.requests.unwrap_or(usize::MAX)));
    let begin = Instant::now();
    let deadline = options.requests.is_none().then(|| begin + Duration::from_secs_f64(options.seconds));
    let clients: Vec<_> = (0..options.concurrency)
        .map(|_| {
            let (client, left) = (client.clone(), left.clone());
            tokio::spawn(async move {
                let (mut latencies, mut failed) = (Vec::new(), 0usize);
                while deadline.is_none_or(|end| Instant::now() < end)
                    && let Ok(turn) = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1))
                {
                    let sent = Instant::now();
                    match client.post(turn).await {
                        Ok(_) => latencies.push(sent.elapsed().as_secs_f64() * 1e3),
                        Err(_) => failed += 1,
                    }
                }
                (latencies, failed)
            })
        })
        .collect();
    let (mut latencies, mut failed) = (Vec::new(), 0);
    for client in clients {
        let (one, failures) = client.await?;
        latencies.extend(one);
        failed += failures;
    }
    let seconds = begin.elapsed().as_secs_f64();
    ensure!(!latencies.is_empty(), "no request of {failed} was answered as it should be");
    latencies.sort_by(f64::total_cmp);
    let quantile = |q: f64| latencies[((latencies.len() - 1) as f64 * q).round() as usize];
    let report = json!({
        "concurrency": options.concurrency,
        "warmup": options.warmup.max(1),
        "requests": latencies.len(),
        "failed": failed,
        "per_second": latencies.len() as f64 / seconds,
        "p50_ms": quantile(0.5),
        "p95_ms": quantile(0.95),
        "p99_ms": quantile(0.99),
        "results": answer["results"],
    });
    println!("{report}");
    Ok(())
}

impl Client {
    /// The answer to the picture whose turn it is.
    async fn post(&self, turn: usize) -> Result<Value> {
        let (picture, refused) = &self.pictures[turn % self.pictures.len()];
        let image = Part::bytes(picture.clone()).file_name("frame.jpg").mime_str("image/jpeg")?;
        let response = self.http.post(&self.url).multipart(Form::new().part("image", image)).send().await?;
        let status = response.status();
        let body = response.bytes().await?;
        let as_it_should = if *refused { status.is_client_error() } else { status.is_success() };
        ensure!(as_it_should, "{status}: {}", String::from_utf8_lossy(&body));
        Ok(serde_json::from_slice(&body)?)
    }
}
